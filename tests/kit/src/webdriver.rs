//! A real, headless browser: Chromium, driven through ChromeDriver by WebDriver's plain HTTP.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::Process;
use crate::{eventually, http, ports};

/// Without these, Chromium looks for its maker's servers at each start, and wants a sandbox that root cannot have.
const FLAGS: &[&str] = &[
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--window-size=1000,700",
];
const START_DEADLINE: Duration = Duration::from_secs(60);

/// A browser with one window and an empty profile. [`Browser::quit`] ends it in good order; dropping it kills it.
#[derive(Debug)]
pub struct Browser {
    driver: Process,
    address: SocketAddr,
    session: String,
    profile: TempDir,
}

impl Browser {
    /// Starts driver and browser.
    ///
    /// # Errors
    /// Names the Debian packages when one is missing.
    pub async fn start() -> Result<Self> {
        for (program, package) in [("/usr/bin/chromedriver", "chromium-driver"), ("/usr/bin/chromium", "chromium")] {
            ensure!(
                Path::new(program).exists(),
                "no {program}: install the Debian package `{package}` (tests/install)"
            );
        }
        let profile = tempfile::Builder::new().prefix("bellwire-chromium-").tempdir()?;
        let address = ports::free();
        let home = format!("HOME={}", profile.path().display());
        let args = [home, "/usr/bin/chromedriver".to_owned(), format!("--port={}", address.port())];
        let driver = Process::spawn_group("chromedriver", "env", &args)?;
        driver.line("started successfully", START_DEADLINE).await?;
        let mut args: Vec<String> = FLAGS.iter().map(|flag| (*flag).to_owned()).collect();
        args.push(format!("--user-data-dir={}", profile.path().join("profile").display()));
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": { "args": args, "binary": "/usr/bin/chromium" },
            "goog:loggingPrefs": { "browser": "ALL" },
        } } });
        let mut browser = Self { driver, address, session: String::new(), profile };
        let value = browser.post("/session", &wanted).await.with_context(|| browser.driver.output())?;
        browser.session = value["sessionId"].as_str().context("no session")?.to_owned();
        Ok(browser)
    }

    /// Opens an address.
    pub async fn go(&self, url: &str) -> Result<()> {
        self.command("url", &json!({ "url": url })).await.map(drop)
    }

    /// Runs a function body in the page and returns what it returns.
    pub async fn run(&self, script: &str) -> Result<Value> {
        self.command("execute/sync", &json!({ "script": script, "args": [] })).await
    }

    /// Waits until a function body returns something that counts as true.
    pub async fn wait_for(&self, what: &str, script: &str, deadline: Duration) -> Result<Value> {
        eventually::eventually(what, deadline, || async {
            let value = self.run(script).await?;
            Ok((!value.is_null() && value != false && value != "" && value != 0).then_some(value))
        })
        .await
    }

    /// Clicks the first element that matches a CSS selector, as a person would.
    pub async fn click(&self, selector: &str) -> Result<()> {
        let found = self.command("element", &json!({ "using": "css selector", "value": selector })).await?;
        let element = found.as_object().and_then(|object| object.values().next()).and_then(Value::as_str);
        let element = element.with_context(|| format!("no element {selector}: {found}"))?;
        self.command(&format!("element/{element}/click"), &json!({})).await.map(drop)
    }

    /// Grants the page at `origin` the right to show notifications.
    pub async fn allow_notifications(&self, origin: &str) -> Result<()> {
        let params = json!({ "origin": origin, "permissions": ["notifications"] });
        let command = json!({ "cmd": "Browser.grantPermissions", "params": params });
        self.command("goog/cdp/execute", &command).await.map(drop)
    }

    /// What the page's console has said since the last call, errors of the browser included.
    pub async fn console(&self) -> Result<Vec<String>> {
        let log = self.command("se/log", &json!({ "type": "browser" })).await?;
        let lines = log.as_array().context("no log")?;
        Ok(lines.iter().map(|line| line["message"].as_str().unwrap_or_default().to_owned()).collect())
    }

    /// A picture of the window as PNG.
    pub async fn screenshot(&self) -> Result<Vec<u8>> {
        let path = format!("/session/{}/screenshot", self.session);
        let value = http::get(self.address, &path).await?.json()?["value"].take();
        base64(value.as_str().context("no picture")?)
    }

    /// Ends browser and driver.
    pub async fn quit(mut self) -> Result<()> {
        let path = format!("/session/{}", self.session);
        http::request(self.address, "DELETE", &path, &[], b"").await?;
        self.driver.kill().await?;
        Ok(self.profile.close()?)
    }

    async fn command(&self, name: &str, body: &Value) -> Result<Value> {
        self.post(&format!("/session/{}/{name}", self.session), body).await
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let response = http::post(self.address, path, body).await?;
        let mut answer = response.json()?;
        ensure!(response.status == 200, "{path}: {}", answer["value"]);
        Ok(answer["value"].take())
    }
}

fn base64(text: &str) -> Result<Vec<u8>> {
    let (mut bytes, mut bits, mut held) = (Vec::with_capacity(text.len() * 3 / 4), 0u32, 0);
    for c in text.bytes().filter(|c| *c != b'=') {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => anyhow::bail!("not base64"),
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read() {
        assert_eq!(base64("").unwrap(), b"");
        assert_eq!(base64("Zm9vYmFy").unwrap(), b"foobar");
        assert_eq!(base64("Zm9vYg==").unwrap(), b"foob");
        assert_eq!(base64("+/8=").unwrap(), [0xfb, 0xff]);
        assert!(base64("a b").is_err());
    }

    #[tokio::test]
    async fn a_page_is_driven() {
        let browser = Browser::start().await.unwrap();
        browser.go("data:text/html,<button onclick='document.title=\"clicked\"'>x</button>").await.unwrap();
        browser.click("button").await.unwrap();
        let title = browser.wait_for("a click", "return document.title", START_DEADLINE).await.unwrap();
        assert_eq!(title, "clicked");
        assert!(browser.screenshot().await.unwrap().starts_with(b"\x89PNG"));
        browser.quit().await.unwrap();
    }
}
