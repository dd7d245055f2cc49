// The page, in headless Chromium.

import { chromium } from "playwright-core";
import { NotYet, PATIENCE_MS, until } from "./until.mjs";

/** Debian's browser; nothing is downloaded. */
export function startBrowser() {
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  // The sandbox does not work for root, and CI runs as root; only our own page is opened.
  return chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
}

/** The page of one user: a browser context, and its errors. */
export class Page {
  /** Uncaught errors, and messages of the browser such as a violated content policy. */
  problems = [];

  static async open(browser, url) {
    const page = new Page();
    page.context = await browser.newContext();
    page.page = await page.context.newPage();
    page.page.setDefaultTimeout(PATIENCE_MS);
    page.page.on("pageerror", (error) => page.problems.push(error.message));
    page.page.on("console", (message) => message.type() === "error" && page.problems.push(message.text()));
    await page.page.goto(url);
    return page;
  }

  text(selector) {
    return this.page.locator(selector).innerText();
  }

  lines(selector) {
    return this.page.locator(`${selector} li`).allInnerTexts();
  }

  async logIn(email, password) {
    await this.page.fill("#login-email", email);
    await this.page.fill("#login-password", password);
    await this.page.click("#login-form button");
  }

  async register(fullName, email, password) {
    await this.page.click("summary");
    await this.page.fill("#register-name", fullName);
    await this.page.fill("#register-email", email);
    await this.page.fill("#register-password", password);
    await this.page.click("#register-form button");
  }

  async useToken(token) {
    await this.page.fill("#jwt-token", token);
    await this.page.click("#btn-connect");
  }

  async send(text) {
    await this.page.fill("#message-input", text);
    await this.page.press("#message-input", "Enter");
  }

  status(state, reason = /./) {
    return until(`status ${state} ${reason}`, async () => {
      const [status, why] = [await this.text("#server-status"), await this.text("#server-reason")];
      if (!status.includes(state) || !reason.test(why)) throw new NotYet(`${status} ${why}`);
      return true;
    });
  }

  shows(selector, line) {
    return until(`${selector} shows ${line}`, async () => {
      const lines = await this.lines(selector);
      if (!lines.some((one) => one.includes(line))) throw new NotYet(lines.join(" | "));
      return true;
    });
  }

  clients(number) {
    return until(`${number} clients are listed, one of them as the own one`, async () => {
      const lines = await this.lines("#clients-ul");
      if (lines.length !== number) throw new NotYet(`${lines.length} are`);
      return lines.filter((line) => line.includes("(you)")).length === 1;
    });
  }
}
