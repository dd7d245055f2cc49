//! The load generator against a small server that speaks both dialects and, if asked to, delivers wrongly: the generator
//! must see it. The test of the command also makes Cargo build the program together with the tests.

mod server;

use std::process::Command;

use clap::Parser;
use jackfield_bench::{args::Args, checker::Verdict, outcome::Outcome, workload};
use server::{Fault, Server};

/// Runs a workload against that server.
fn run(server: &Server, options: &str) -> Outcome {
    let target = server.address.to_string();
    let words = ["jackfield-bench"].into_iter().chain(options.split(' '));
    let args = Args::parse_from(words.chain(["--target", &target, "--secret", "secret", "--warmup", "0.1"]));
    workload::run(&args).unwrap_or_else(|error| panic!("{error:#}"))
}

/// The result of a run of rooms against a server with that fault.
fn verdict(fault: Fault) -> Verdict {
    let server = Server::start(fault);
    let outcome = run(&server, "rooms --sockets 6 --room-size 3 --senders 1 --rate 400 --duration 0.4 --drain 2");
    assert_eq!((outcome.sockets, outcome.unanswered, outcome.refused), (6, 0, 0));
    outcome.verdict.unwrap_or_default()
}

#[test]
fn a_good_server_gets_a_clean_verdict_in_both_dialects() {
    for dialect in ["socketio", "centrifugo"] {
        let server = Server::start(Fault::None);
        for load in ["--rate 400", "--window 2"] {
            let options =
                format!("rooms --sockets 6 --room-size 3 --senders 2 --duration 0.4 {load} --dialect {dialect}");
            let outcome = run(&server, &options);
            assert!(outcome.verdict.is_some_and(|verdict| verdict.is_clean()), "{options}: {outcome:?}");
            assert!(outcome.count > Some(0), "{options}: {outcome:?}");
            assert_eq!((outcome.sockets, outcome.unanswered, outcome.disconnected), (6, 0, 0), "{options}");
        }
    }
}

#[test]
fn a_lost_message_is_seen() {
    let verdict = verdict(Fault::Lose);
    assert!(verdict.lost > 0);
    assert_eq!(verdict, Verdict { lost: verdict.lost, ..Verdict::default() });
}

#[test]
fn a_doubled_message_is_seen() {
    let verdict = verdict(Fault::Double);
    assert!(verdict.doubled > 0);
    assert_eq!(verdict, Verdict { doubled: verdict.doubled, ..Verdict::default() });
}

#[test]
fn a_reordered_message_is_seen() {
    let verdict = verdict(Fault::Swap);
    assert!(verdict.reordered > 0);
    // The last messages may still be held back at the end.
    assert!(verdict.doubled == 0 && verdict.misdirected == 0 && verdict.lost <= 2, "{verdict:?}");
}

#[test]
fn a_message_to_another_room_is_seen() {
    let verdict = verdict(Fault::Misdirect);
    assert!(verdict.misdirected > 0);
    assert_eq!(verdict, Verdict { misdirected: verdict.misdirected, ..Verdict::default() });
}

#[test]
fn in_a_closed_loop_a_lost_message_does_not_stop_the_others() {
    let server = Server::start(Fault::Lose);
    let outcome = run(&server, "rooms --sockets 6 --room-size 3 --senders 2 --window 5 --duration 0.3 --drain 0.1");
    assert!(outcome.verdict.is_some_and(|verdict| verdict.lost > 0), "{outcome:?}");
}

#[test]
fn echoes_and_connects_are_counted() {
    let server = Server::start(Fault::None);
    let outcome = run(&server, "echo --sockets 5 --window 3 --size 64 --duration 0.3");
    assert!(outcome.verdict.is_some_and(|verdict| verdict.is_clean()) && outcome.count > Some(0), "{outcome:?}");
    let outcome = run(&server, "connects --sockets 20 --dialect centrifugo");
    assert_eq!((outcome.sockets, outcome.count), (20, Some(20)));
}

#[test]
fn the_command_prints_one_line_of_json() {
    let server = Server::start(Fault::None);
    let mut command = Command::new(env!("CARGO_BIN_EXE_jackfield-bench"));
    command.args(["connects", "--sockets", "3", "--target", &server.address.to_string()]).env("JWT_SECRET", "secret");
    let output = command.output().unwrap();
    let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((line["sockets"].as_u64(), line["failed"].as_u64()), (Some(3), Some(0)));
}

#[test]
fn the_command_says_why_it_failed() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jackfield-bench"));
    command.args(["echo", "--dialect", "centrifugo", "--target", "127.0.0.1:1"]).env("JWT_SECRET", "secret");
    let output = command.output().unwrap();
    assert!(!output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr).trim(), "only Socket.IO has that");
}
