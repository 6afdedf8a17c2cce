//! Chromium, driven through ChromeDriver by WebDriver's plain HTTP.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{Kind, Permission, START_DEADLINE, Window};
use crate::process::Process;
use crate::{http, ports};

/// Without these, Chromium looks for its maker's servers at each start, wants a sandbox that root cannot have, and lets a
/// page that hangs take other windows of its site along; and it would not know the certificates of the tests.
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
    "--ignore-certificate-errors",
    "--disable-features=ProcessPerSiteUpToMainFrameThreshold",
    "--window-size=1000,700",
];

#[derive(Debug)]
pub(super) struct Chromium {
    driver: Process,
    address: SocketAddr,
    session: String,
}

impl Chromium {
    pub(super) async fn start(home: &Path) -> Result<Self> {
        for (program, package) in [("/usr/bin/chromedriver", "chromium-driver"), ("/usr/bin/chromium", "chromium")] {
            ensure!(
                Path::new(program).exists(),
                "no {program}: install the Debian package `{package}` (tests/install)"
            );
        }
        let address = ports::free();
        let args = [
            format!("HOME={}", home.display()),
            "/usr/bin/chromedriver".to_owned(),
            format!("--port={}", address.port()),
        ];
        let driver = Process::spawn_group("chromedriver", "env", &args)?;
        driver.line("started successfully", START_DEADLINE).await?;
        let mut args: Vec<String> = FLAGS.iter().map(|flag| (*flag).to_owned()).collect();
        args.push(format!("--user-data-dir={}", home.join("profile").display()));
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": { "args": args, "binary": "/usr/bin/chromium" },
            "goog:loggingPrefs": { "browser": "ALL" },
        } } });
        let mut browser = Self { driver, address, session: String::new() };
        let value = browser.request("POST", "/session", &wanted).await.with_context(|| browser.driver.output())?;
        browser.session = value["sessionId"].as_str().context("no session")?.to_owned();
        Ok(browser)
    }

    pub(super) async fn go(&self, url: &str) -> Result<()> {
        self.post("url", &json!({ "url": url })).await.map(drop)
    }

    pub(super) async fn run(&self, script: &str) -> Result<Value> {
        self.post("execute/sync", &json!({ "script": script, "args": [] })).await
    }

    pub(super) async fn click(&self, selector: &str) -> Result<()> {
        let found = self.post("element", &json!({ "using": "css selector", "value": selector })).await?;
        let element = found.as_object().and_then(|object| object.values().next()).and_then(Value::as_str);
        let element = element.with_context(|| format!("no element {selector}: {found}"))?;
        self.post(&format!("element/{element}/click"), &json!({})).await.map(drop)
    }

    pub(super) async fn window(&self) -> Result<Window> {
        let handle = self.call("GET", "window", &Value::Null).await?;
        Ok(Window(handle.as_str().context("no handle")?.to_owned()))
    }

    pub(super) async fn windows(&self) -> Result<Vec<Window>> {
        let handles = self.call("GET", "window/handles", &Value::Null).await?;
        let handles = handles.as_array().context("no handles")?;
        Ok(handles.iter().filter_map(Value::as_str).map(|handle| Window(handle.to_owned())).collect())
    }

    pub(super) async fn open(&self, kind: Kind) -> Result<Window> {
        let kind = match kind {
            Kind::Tab => "tab",
            Kind::Window => "window",
        };
        let made = self.post("window/new", &json!({ "type": kind })).await?;
        Ok(Window(made["handle"].as_str().context("no handle")?.to_owned()))
    }

    pub(super) async fn switch(&self, window: &Window) -> Result<()> {
        self.post("window", &json!({ "handle": window.0 })).await.map(drop)
    }

    pub(super) async fn show(&self) -> Result<()> {
        self.devtools("Page.bringToFront", &json!({})).await
    }

    pub(super) async fn close(&self) -> Result<()> {
        self.call("DELETE", "window", &Value::Null).await.map(drop)
    }

    pub(super) async fn before_pages(&self, script: &str) -> Result<()> {
        self.devtools("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": script })).await
    }

    pub(super) async fn set_notifications(&self, origin: &str, permission: Permission) -> Result<()> {
        let params =
            json!({ "origin": origin, "permission": { "name": "notifications" }, "setting": permission.word() });
        self.devtools("Browser.setPermission", &params).await
    }

    pub(super) async fn set_offline(&self, offline: bool) -> Result<()> {
        let params = json!({ "offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1 });
        self.devtools("Network.emulateNetworkConditions", &params).await
    }

    pub(super) async fn set_size(&self, width: u32, height: u32) -> Result<()> {
        let params = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", &params).await
    }

    pub(super) async fn set_dark(&self, dark: bool) -> Result<()> {
        let value = if dark { "dark" } else { "light" };
        let params = json!({ "features": [{ "name": "prefers-color-scheme", "value": value }] });
        self.devtools("Emulation.setEmulatedMedia", &params).await
    }

    pub(super) async fn console(&self) -> Result<Vec<String>> {
        let log = self.post("se/log", &json!({ "type": "browser" })).await?;
        let lines = log.as_array().context("no log")?;
        Ok(lines.iter().map(|line| line["message"].as_str().unwrap_or_default().to_owned()).collect())
    }

    pub(super) async fn screenshot(&self) -> Result<Value> {
        self.call("GET", "screenshot", &Value::Null).await
    }

    pub(super) async fn quit(mut self) -> Result<()> {
        let path = format!("/session/{}", self.session);
        http::request(self.address, "DELETE", &path, &[], b"").await?;
        self.driver.kill().await
    }

    /// What WebDriver has no words for.
    async fn devtools(&self, method: &str, params: &Value) -> Result<()> {
        self.post("goog/cdp/execute", &json!({ "cmd": method, "params": params })).await.map(drop)
    }

    async fn post(&self, name: &str, body: &Value) -> Result<Value> {
        self.call("POST", name, body).await
    }

    async fn call(&self, method: &str, name: &str, body: &Value) -> Result<Value> {
        self.request(method, &format!("/session/{}/{name}", self.session), body).await
    }

    async fn request(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let headers: &[_] = if body.is_empty() { &[] } else { &[("content-type", "application/json")] };
        let response = http::request(self.address, method, path, headers, body.as_bytes()).await?;
        let mut answer = response.json()?;
        ensure!(response.status == 200, "{path}: {}", answer["value"]);
        Ok(answer["value"].take())
    }
}
