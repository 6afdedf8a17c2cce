//! A real, headless browser: Debian's Chromium or Firefox ESR, behind the same calls.
//!
//! A browser has one profile and any number of windows. Calls go to the window that was last switched to, at the start the
//! one that is there; so one test drives one browser from one task. [`Browser::quit`] ends it in good order; dropping it
//! kills it.

mod base64;
mod bidi;
mod chromium;
mod firefox;

use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::eventually;
use chromium::Chromium;
use firefox::Firefox;

const RECORDER: &str = include_str!("webdriver/recorder.js");
const START_DEADLINE: Duration = Duration::from_secs(60);

/// A browser.
#[derive(Debug)]
pub struct Browser {
    driver: Driver,
    /// What runs before the scripts of each page.
    before: Mutex<Vec<String>>,
    profile: TempDir,
}

#[derive(Debug)]
enum Driver {
    Chromium(Chromium),
    Firefox(Firefox),
}

/// One window, or one tab of a window.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Window(String);

/// How a page is opened beside others.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// In the current window, which shows it from then on.
    Tab,
    /// In a window of its own.
    Window,
}

/// What a person has said to a page that wants to show notifications.
#[derive(Debug, Clone, Copy)]
pub enum Permission {
    /// Yes.
    Granted,
    /// No.
    Denied,
    /// Nothing yet.
    Default,
}

/// A desktop notification that a page has made.
#[derive(Debug, Clone)]
pub struct Notice {
    /// The title.
    pub title: String,
    /// The address of the page.
    pub page: String,
    /// Milliseconds since 1970.
    pub at: u64,
    /// How many the same page had made before: clocks of browsers are coarse.
    pub number: u64,
    /// What was given to the constructor: `body`, `icon`, `tag`, ...
    pub options: Value,
    /// The browser says that it is to be seen.
    pub shown: bool,
    /// The page has called `close`.
    pub closed: bool,
    /// A click has been handed to the page.
    pub clicked: bool,
}

/// `name(a, b).await` of whichever browser it is.
macro_rules! drive {
    ($self:ident . $call:ident ( $($argument:expr),* )) => {
        match &$self.driver {
            Driver::Chromium(driver) => driver.$call($($argument),*).await,
            Driver::Firefox(driver) => driver.$call($($argument),*).await,
        }
    };
}

// === impl Browser ===

impl Browser {
    /// Starts Chromium with an empty profile.
    ///
    /// # Errors
    /// Names the Debian packages when one is missing.
    pub async fn start() -> Result<Self> {
        let profile = tempfile::Builder::new().prefix("bellwire-chromium-").tempdir()?;
        Ok(Self { driver: Driver::Chromium(Chromium::start(profile.path()).await?), before: Mutex::default(), profile })
    }

    /// Starts Firefox ESR with an empty profile.
    ///
    /// # Errors
    /// Names the Debian package when it is missing.
    pub async fn start_firefox() -> Result<Self> {
        let profile = tempfile::Builder::new().prefix("bellwire-firefox-").tempdir()?;
        Ok(Self { driver: Driver::Firefox(Firefox::start(profile.path()).await?), before: Mutex::default(), profile })
    }

    /// Opens an address and waits until it is loaded.
    pub async fn go(&self, url: &str) -> Result<()> {
        drive!(self.go(url))
    }

    /// Runs a function body in the page and returns what it returns, or what its promise is fulfilled with.
    pub async fn run(&self, script: &str) -> Result<Value> {
        drive!(self.run(script))
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
        drive!(self.click(selector))
    }

    // --- windows ---

    /// The window that calls go to.
    pub async fn window(&self) -> Result<Window> {
        drive!(self.window())
    }

    /// All windows, those that pages have opened included.
    pub async fn windows(&self) -> Result<Vec<Window>> {
        drive!(self.windows())
    }

    /// Opens one more, with an empty page, and switches to it.
    pub async fn open(&self, kind: Kind) -> Result<Window> {
        let window = drive!(self.open(kind))?;
        self.switch(&window).await?;
        let before = self.before.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        for script in &before {
            drive!(self.before_pages(script))?;
        }
        Ok(window)
    }

    /// From now on calls go to this window. What a person sees stays.
    pub async fn switch(&self, window: &Window) -> Result<()> {
        drive!(self.switch(window))
    }

    /// Shows the current window's page: of the tabs of one window only that one is visible.
    pub async fn show(&self) -> Result<()> {
        drive!(self.show())
    }

    /// Closes the current window; the next call must be [`Browser::switch`] or [`Browser::open`].
    pub async fn close(&self) -> Result<()> {
        drive!(self.close())
    }

    // --- what pages find ---

    /// Runs a script in each page that is loaded from now on, before its own scripts, in all windows opened by the test.
    pub async fn before_pages(&self, script: &str) -> Result<()> {
        let current = self.window().await?;
        for window in self.windows().await? {
            self.switch(&window).await?;
            drive!(self.before_pages(script))?;
        }
        self.before.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(script.to_owned());
        self.switch(&current).await
    }

    /// What a person has said to notifications of the pages of `origin`.
    pub async fn set_notifications(&self, origin: &str, permission: Permission) -> Result<()> {
        drive!(self.set_notifications(origin, permission))
    }

    /// Grants the pages of `origin` the right to show notifications.
    pub async fn allow_notifications(&self, origin: &str) -> Result<()> {
        self.set_notifications(origin, Permission::Granted).await
    }

    /// The current window's page believes to be offline: `navigator.onLine`, the events, and new requests. Connections that
    /// are open stay, and workers do not notice; a [`crate::proxy::Proxy`] is the better broken network.
    pub async fn set_offline(&self, offline: bool) -> Result<()> {
        drive!(self.set_offline(offline))
    }

    /// The size of the current window's page, for layout and pictures.
    pub async fn set_size(&self, width: u32, height: u32) -> Result<()> {
        drive!(self.set_size(width, height))
    }

    /// Whether the current window's page finds that a dark colour scheme is preferred. Chromium only.
    pub async fn set_dark(&self, dark: bool) -> Result<()> {
        drive!(self.set_dark(dark))
    }

    // --- what pages did ---

    /// Pages that are loaded from now on tell what notifications they make: [`Browser::notices`].
    pub async fn record_notices(&self) -> Result<()> {
        self.before_pages(RECORDER).await
    }

    /// What pages of the current page's origin have made, in all windows, closed ones too; the oldest first.
    pub async fn notices(&self) -> Result<Vec<Notice>> {
        let all = self.run(&format!("return {RECORDED}")).await?;
        let mut notices = all.as_array().context("no list")?.iter().map(Notice::read).collect::<Result<Vec<_>>>()?;
        notices.sort_by_key(|notice| (notice.at, notice.number));
        Ok(notices)
    }

    /// Waits until there are at least so many.
    pub async fn wait_notices(&self, count: usize, deadline: Duration) -> Result<Vec<Notice>> {
        let found = eventually::eventually(&format!("{count} desktop notifications"), deadline, || async {
            let notices = self.notices().await?;
            Ok((notices.len() >= count).then_some(notices))
        })
        .await;
        match found {
            Ok(notices) => Ok(notices),
            Err(error) => Err(error.context(format!("there are: {:#?}", self.notices().await))),
        }
    }

    /// Clicks the last notification with this title that a page of the current window has made.
    pub async fn click_notice(&self, title: &str) -> Result<()> {
        let script = format!("return clickRecorded({})", json!(title));
        ensure!(self.run(&script).await? == true, "this page has made no notification {title:?}");
        Ok(())
    }

    /// What the consoles of pages have said since the last call, errors of the browser included. Chromium: of the current
    /// window's page.
    pub async fn console(&self) -> Result<Vec<String>> {
        drive!(self.console())
    }

    /// A picture of the current window's page as PNG.
    pub async fn screenshot(&self) -> Result<Vec<u8>> {
        base64::decode(drive!(self.screenshot())?.as_str().context("no picture")?)
    }

    /// Ends browser and driver.
    pub async fn quit(self) -> Result<()> {
        match self.driver {
            Driver::Chromium(driver) => driver.quit().await?,
            Driver::Firefox(driver) => driver.quit().await?,
        }
        Ok(self.profile.close()?)
    }
}

/// See recorder.js, which keeps them.
const RECORDED: &str =
    "Object.entries(localStorage).filter(([name]) => name.startsWith('recorded ')).map(([, text]) => JSON.parse(text))";

impl Notice {
    fn read(value: &Value) -> Result<Self> {
        let text = |name: &str| value[name].as_str().map(str::to_owned).with_context(|| format!("{name} in {value}"));
        let count = |name: &str| value[name].as_u64().with_context(|| format!("{name} in {value}"));
        Ok(Self {
            title: text("title")?,
            page: text("page")?,
            at: count("at")?,
            number: count("number")?,
            options: value["options"].clone(),
            shown: value["shown"] == true,
            closed: value["closed"] == true,
            clicked: value["clicked"] == true,
        })
    }

    /// A text among the options; empty if there is none.
    #[must_use]
    pub fn option(&self, name: &str) -> &str {
        self.options[name].as_str().unwrap_or_default()
    }
}

impl Permission {
    /// As browsers write it.
    fn word(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Denied => "denied",
            Self::Default => "prompt",
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Answers everything with one page; its address.
    async fn serve(page: &'static str) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let _ = stream.read(&mut [0; 4096]).await;
                    let length = page.len();
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {length}\r\n");
                    let answer = format!("{head}connection: close\r\n\r\n{page}");
                    let _ = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        origin
    }

    const PAGE: &str = "<!doctype html><title>early</title><button onclick='document.title = \"clicked\"'>x</button>
        <script>
            const before = window.before ?? 0;
            function tell(title) {
                const notification = new Notification(title, { body: 'text', tag: 't' });
                notification.onclick = () => window.open(location.href + '#clicked');
                window.last = notification;
            }
        </script>";

    async fn a_page_is_driven(browser: &Browser, origin: &str) {
        browser.go(origin).await.unwrap();
        assert_eq!(browser.run("return before").await.unwrap(), 0);
        browser.click("button").await.unwrap();
        let title =
            browser.wait_for("a click", "return document.title === 'clicked' && document.title", START_DEADLINE);
        assert_eq!(title.await.unwrap(), "clicked");
        assert!(browser.run("throw new Error('an error of the page')").await.is_err());
        assert_eq!(browser.run("return Promise.resolve({ a: [1, null] })").await.unwrap(), json!({ "a": [1, null] }));
        browser.set_size(390, 800).await.unwrap();
        let size = browser.run("return [innerWidth, innerHeight]").await.unwrap();
        assert_eq!(size, json!([390, 800]));
        assert!(browser.screenshot().await.unwrap().starts_with(b"\x89PNG"));
        browser.set_offline(true).await.unwrap();
        browser.wait_for("offline", "return !navigator.onLine", START_DEADLINE).await.unwrap();
        browser.set_offline(false).await.unwrap();
        browser.wait_for("online", "return navigator.onLine", START_DEADLINE).await.unwrap();
        browser.run("console.error('said by the page')").await.unwrap();
        let said = browser.console().await.unwrap();
        assert!(said.iter().any(|line| line.contains("said by the page")), "{said:?}");
    }

    async fn windows_are_told_apart(browser: &Browser, origin: &str) {
        let first = browser.window().await.unwrap();
        browser.before_pages("window.before = (window.before ?? 0) + 1").await.unwrap();
        for kind in [Kind::Window, Kind::Tab] {
            let window = browser.open(kind).await.unwrap();
            assert_eq!(browser.window().await.unwrap(), window);
            browser.go(origin).await.unwrap();
            assert_eq!(browser.run("return before").await.unwrap(), 1, "it runs once in each page");
        }
        assert_eq!(browser.windows().await.unwrap().len(), 3);
        let seen = browser.run("return document.visibilityState").await.unwrap();
        assert_eq!(seen, "visible");
        browser.close().await.unwrap();
        browser.switch(&first).await.unwrap();
        assert_eq!(browser.windows().await.unwrap().len(), 2);
        assert_eq!(browser.run("return before").await.unwrap(), 0, "the page was there before");
        browser.go(origin).await.unwrap();
        assert_eq!(browser.run("return before").await.unwrap(), 1);
    }

    async fn notices_are_recorded(browser: &Browser, origin: &str) {
        browser.record_notices().await.unwrap();
        let permission = "return Notification.permission";
        for (given, word) in
            [(Permission::Denied, "denied"), (Permission::Default, "default"), (Permission::Granted, "granted")]
        {
            browser.set_notifications(origin, given).await.unwrap();
            browser.go(origin).await.unwrap();
            assert_eq!(browser.run(permission).await.unwrap(), word);
        }
        browser.run("tell('one')").await.unwrap();
        let shown = "return window.last.entry.shown";
        browser.wait_for("a notification that is shown", shown, START_DEADLINE).await.unwrap();
        browser.click_notice("one").await.unwrap();
        browser.run("last.close()").await.unwrap();
        let other = browser.open(Kind::Tab).await.unwrap();
        browser.go(origin).await.unwrap();
        browser.run("tell('two')").await.unwrap();
        let notices = browser.wait_notices(2, START_DEADLINE).await.unwrap();
        let read: Vec<_> = notices.iter().map(|n| (n.title.as_str(), n.closed, n.clicked)).collect();
        assert_eq!(read, [("one", true, true), ("two", false, false)]);
        assert_eq!((notices[0].option("body"), notices[0].option("tag")), ("text", "t"));
        browser.run("for (const n of 'abcdefgh') tell(n)").await.unwrap();
        let order: String =
            browser.wait_notices(10, START_DEADLINE).await.unwrap().into_iter().map(|n| n.title).collect();
        assert_eq!(order, "onetwoabcdefgh");
        assert!(browser.click_notice("one").await.is_err(), "that is another window's");
        let windows = browser.windows().await.unwrap();
        assert_eq!(windows.len(), 4, "the click has opened one: {windows:?}");
        assert!(windows.contains(&other));
    }

    async fn everything(browser: Browser) {
        let origin = serve(PAGE).await;
        a_page_is_driven(&browser, &origin).await;
        windows_are_told_apart(&browser, &origin).await;
        notices_are_recorded(&browser, &origin).await;
        browser.quit().await.unwrap();
    }

    #[tokio::test]
    async fn chromium_does_what_it_is_told() {
        let browser = Browser::start().await.unwrap();
        browser.go("data:text/html,").await.unwrap();
        browser.set_dark(true).await.unwrap();
        assert_eq!(browser.run("return matchMedia('(prefers-color-scheme: dark)').matches").await.unwrap(), true);
        browser.set_dark(false).await.unwrap();
        assert_eq!(browser.run("return matchMedia('(prefers-color-scheme: dark)').matches").await.unwrap(), false);
        everything(browser).await;
    }

    #[tokio::test]
    async fn firefox_does_what_it_is_told() {
        everything(Browser::start_firefox().await.unwrap()).await;
    }
}
