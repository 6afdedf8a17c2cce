//! Firefox ESR, driven by the WebDriver BiDi that it speaks by itself: Debian has no geckodriver, and the older Marionette
//! cannot run a script before those of a page.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::bidi::Bidi;
use super::{Kind, Permission, START_DEADLINE, Window};
use crate::process::Process;

const PROGRAM: &str = "/usr/bin/firefox-esr";

/// Nothing leaves the machine: what Firefox wants from its maker is switched off, and anything else that is not on
/// loopback meets a proxy that does not exist. Windows are opened when a page asks, as a click would let it.
const PREFERENCES: &[(&str, &str)] = &[
    ("network.proxy.type", "1"),
    ("network.proxy.http", "\"127.0.0.1\""),
    ("network.proxy.http_port", "9"),
    ("network.proxy.ssl", "\"127.0.0.1\""),
    ("network.proxy.ssl_port", "9"),
    ("network.proxy.no_proxies_on", "\"127.0.0.1, localhost\""),
    ("network.captive-portal-service.enabled", "false"),
    ("network.connectivity-service.enabled", "false"),
    ("services.settings.server", "\"data:,#remote-settings-dummy/v1\""),
    ("app.normandy.enabled", "false"),
    ("app.update.disabledForTesting", "true"),
    ("browser.region.network.url", "\"\""),
    ("browser.safebrowsing.update.enabled", "false"),
    ("browser.search.update", "false"),
    ("datareporting.healthreport.uploadEnabled", "false"),
    ("datareporting.policy.dataSubmissionEnabled", "false"),
    ("dom.push.connection.enabled", "false"),
    ("extensions.update.enabled", "false"),
    ("extensions.getAddons.cache.enabled", "false"),
    ("media.gmp-manager.updateEnabled", "false"),
    ("toolkit.telemetry.server", "\"\""),
    ("browser.aboutwelcome.enabled", "false"),
    ("browser.shell.checkDefaultBrowser", "false"),
    ("dom.disable_open_during_load", "false"),
    ("alerts.useSystemBackend", "false"),
];

#[derive(Debug)]
pub(super) struct Firefox {
    process: Process,
    bidi: Bidi,
    current: Mutex<Window>,
}

impl Firefox {
    pub(super) async fn start(home: &Path) -> Result<Self> {
        ensure!(Path::new(PROGRAM).exists(), "no {PROGRAM}: install the Debian package `firefox-esr` (tests/install)");
        let profile = home.join("profile");
        std::fs::create_dir(&profile)?;
        let preferences = PREFERENCES.iter().fold(String::new(), |mut all, (name, value)| {
            let _ = writeln!(all, "user_pref(\"{name}\", {value});");
            all
        });
        std::fs::write(profile.join("user.js"), preferences)?;
        let args = [
            format!("HOME={}", home.display()),
            "MOZ_CRASHREPORTER_DISABLE=1".to_owned(),
            // Without it, the release takes no other server of settings than its maker's.
            "MOZ_REMOTE_SETTINGS_DEVTOOLS=1".to_owned(),
            PROGRAM.to_owned(),
            "--headless".to_owned(),
            "--no-remote".to_owned(),
            "--remote-debugging-port=0".to_owned(),
            format!("--profile={}", profile.display()),
            "about:blank".to_owned(),
        ];
        let process = Process::spawn_group("firefox", "env", &args)?;
        let line = process.line("WebDriver BiDi listening on ", START_DEADLINE).await?;
        let url = line.split_whitespace().last().context("no address")?;
        let bidi = Bidi::connect(&format!("{url}/session")).await?;
        bidi.command("session.new", &json!({ "capabilities": {} })).await.with_context(|| process.output())?;
        bidi.command("session.subscribe", &json!({ "events": ["log.entryAdded"] })).await?;
        let browser = Self { process, bidi, current: Mutex::new(Window(String::new())) };
        let first = browser.windows().await?.into_iter().next().context("no window")?;
        browser.switch(&first).await?;
        Ok(browser)
    }

    pub(super) async fn go(&self, url: &str) -> Result<()> {
        let params = json!({ "context": self.context(), "url": url, "wait": "complete" });
        self.bidi.command("browsingContext.navigate", &params).await.map(drop)
    }

    pub(super) async fn run(&self, script: &str) -> Result<Value> {
        // As text: BiDi's own notation of values is richer than JSON.
        let function =
            format!("async function () {{ return JSON.stringify((await (function () {{ {script}\n }})()) ?? null); }}");
        let params = json!({
            "functionDeclaration": function,
            "awaitPromise": true,
            "userActivation": true,
            "target": { "context": self.context() },
        });
        let answer = self.bidi.command("script.callFunction", &params).await?;
        ensure!(answer["type"] == "success", "{script}: {}", answer["exceptionDetails"]["text"]);
        Ok(serde_json::from_str(answer["result"]["value"].as_str().context("no text")?)?)
    }

    pub(super) async fn click(&self, selector: &str) -> Result<()> {
        let script = format!(
            "const element = document.querySelector({}); element?.scrollIntoView(); const box = \
             element?.getBoundingClientRect(); return box && [box.x + box.width / 2, box.y + box.height / 2]",
            json!(selector)
        );
        let found = self.run(&script).await?;
        let (Some(x), Some(y)) = (found[0].as_f64(), found[1].as_f64()) else { bail!("no element {selector}") };
        let actions = json!([
            { "type": "pointerMove", "x": x as i64, "y": y as i64 },
            { "type": "pointerDown", "button": 0 },
            { "type": "pointerUp", "button": 0 },
        ]);
        let params =
            json!({ "context": self.context(), "actions": [{ "type": "pointer", "id": "mouse", "actions": actions }] });
        self.bidi.command("input.performActions", &params).await.map(drop)
    }

    pub(super) async fn window(&self) -> Result<Window> {
        Ok(Window(self.context()))
    }

    pub(super) async fn windows(&self) -> Result<Vec<Window>> {
        let tree = self.bidi.command("browsingContext.getTree", &json!({ "maxDepth": 0 })).await?;
        let contexts = tree["contexts"].as_array().context("no contexts")?;
        Ok(contexts.iter().filter_map(|one| one["context"].as_str()).map(|id| Window(id.to_owned())).collect())
    }

    pub(super) async fn open(&self, kind: Kind) -> Result<Window> {
        let kind = match kind {
            Kind::Tab => "tab",
            Kind::Window => "window",
        };
        let made = self.bidi.command("browsingContext.create", &json!({ "type": kind })).await?;
        Ok(Window(made["context"].as_str().context("no context")?.to_owned()))
    }

    pub(super) async fn switch(&self, window: &Window) -> Result<()> {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = window.clone();
        Ok(())
    }

    pub(super) async fn show(&self) -> Result<()> {
        self.bidi.command("browsingContext.activate", &json!({ "context": self.context() })).await.map(drop)
    }

    pub(super) async fn close(&self) -> Result<()> {
        self.bidi.command("browsingContext.close", &json!({ "context": self.context() })).await.map(drop)
    }

    pub(super) async fn before_pages(&self, script: &str) -> Result<()> {
        let function = format!("function () {{ {script}\n }}");
        let params = json!({ "functionDeclaration": function, "contexts": [self.context()] });
        self.bidi.command("script.addPreloadScript", &params).await.map(drop)
    }

    pub(super) async fn set_notifications(&self, origin: &str, permission: Permission) -> Result<()> {
        let params = json!({ "origin": origin, "descriptor": { "name": "notifications" }, "state": permission.word() });
        self.bidi.command("permissions.setPermission", &params).await.map(drop)
    }

    pub(super) async fn set_offline(&self, offline: bool) -> Result<()> {
        let conditions = if offline { json!({ "type": "offline" }) } else { Value::Null };
        let params = json!({ "contexts": [self.context()], "networkConditions": conditions });
        self.bidi.command("emulation.setNetworkConditions", &params).await.map(drop)
    }

    pub(super) async fn set_size(&self, width: u32, height: u32) -> Result<()> {
        let params = json!({ "context": self.context(), "viewport": { "width": width, "height": height } });
        self.bidi.command("browsingContext.setViewport", &params).await.map(drop)
    }

    pub(super) async fn set_dark(&self, _dark: bool) -> Result<()> {
        bail!("Firefox has no command for it")
    }

    pub(super) async fn console(&self) -> Result<Vec<String>> {
        let events = self.bidi.events();
        let texts = events.iter().filter(|event| event["method"] == "log.entryAdded");
        Ok(texts.map(|event| event["params"]["text"].as_str().unwrap_or_default().to_owned()).collect())
    }

    pub(super) async fn screenshot(&self) -> Result<Value> {
        let params = json!({ "context": self.context() });
        Ok(self.bidi.command("browsingContext.captureScreenshot", &params).await?["data"].take())
    }

    pub(super) async fn quit(mut self) -> Result<()> {
        self.bidi.command("browser.close", &json!({})).await?;
        self.process.wait(START_DEADLINE).await.map(drop)
    }

    fn context(&self) -> String {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }
}
