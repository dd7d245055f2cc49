"""Builds the overlays and checks them against `rules`, then breaks them on purpose: each fault must be found.

Run by `cargo xtask test --only k8s`, which passes the command that builds an overlay in KUSTOMIZE.
"""

import os
import re
import subprocess
import unittest
from functools import cache

import yaml
from faults import FAULTS
from objects import ROOT, Overlay
from rules import problems


FOLDERS = {"dev": "k8s/overlays/dev", "prod": "k8s/overlays/prod", "components": "k8s/test/components"}


@cache
def built(name):
    """The objects of an overlay: `Kind name` -> text, without the hash that kustomize adds to generated names."""
    command = [*os.environ["KUSTOMIZE"].split(), FOLDERS[name]]
    output = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    texts = {}
    for text in output.split("\n---\n"):
        here = yaml.safe_load(text)
        texts[f"{here['kind']} {re.sub('-[a-z0-9]{10}$', '', here['metadata']['name'])}"] = text
    return texts


def problems_of(name, texts):
    return problems(Overlay(name, [parsed(text) for text in texts.values()]))


# Cached: all objects except the broken one are the same for each fault, and nothing modifies them.
parsed = cache(yaml.safe_load)


class Manifests(unittest.TestCase):
    maxDiff = None

    def test_dev(self):
        self.judge("dev")

    def test_prod(self):
        self.judge("prod")

    def test_prod_with_all_components(self):
        self.judge("components")

    def judge(self, name):
        self.assertEqual(problems_of(name, built(name)), [])
        for overlay, where, right, wrong, message in FAULTS:
            if overlay != name:
                continue
            with self.subTest(object=where, wrong=wrong):
                texts = dict(built(name))
                self.assertTrue(right in texts[where], f"there is no {right!r} to replace")
                texts[where] = texts[where].replace(right, wrong, 1)
                found = problems_of(name, texts)
                self.assertTrue(any(message in problem for problem in found), f"{message!r} is not in {found}")


if __name__ == "__main__":
    unittest.main()
