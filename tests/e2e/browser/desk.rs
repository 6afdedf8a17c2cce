//! Somebody's browser with Bellwire's page in it, and what a person would look at.

use bellwire_testkit::eventually::eventually;
use bellwire_testkit::webdriver::{Browser, Kind, Notice, Window};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{PATIENCE, send_all};
use crate::trial::Trial;

/// What a page answers while it has a connection.
pub(super) const CONNECTED: &str = "return document.querySelector('.bw-state')?.dataset.state === 'connected'";

pub(super) struct Desk {
    pub(super) trial: Trial,
    pub(super) browser: Browser,
    /// The pages that are open.
    pub(super) pages: Vec<Window>,
    _home: TempDir,
}

impl Desk {
    /// A server, and a browser that has no page open yet; its pages may show notifications, and what they show is noted.
    pub(super) async fn new() -> Self {
        Self::with(Browser::start().await.unwrap()).await
    }

    pub(super) async fn with(browser: Browser) -> Self {
        let home = tempfile::tempdir().unwrap();
        let trial = Trial::start(home.path()).await;
        browser.record_notices().await.unwrap();
        browser.allow_notifications(&trial.origin()).await.unwrap();
        Self { trial, browser, pages: Vec::new(), _home: home }
    }

    /// The page in the browser's first window.
    pub(super) async fn open(&mut self) -> Window {
        let window = self.browser.window().await.unwrap();
        self.load(window).await
    }

    /// The page in one more tab or window.
    pub(super) async fn open_in(&mut self, kind: Kind) -> Window {
        let window = self.browser.open(kind).await.unwrap();
        self.load(window).await
    }

    async fn load(&mut self, window: Window) -> Window {
        self.browser.go(&self.trial.page).await.unwrap();
        self.until("a connected page", CONNECTED).await;
        self.pages.push(window.clone());
        window
    }

    /// Two windows, three pages in each.
    pub(super) async fn open_two_windows_of_three(&mut self) {
        self.open().await;
        for kind in [Kind::Tab, Kind::Tab, Kind::Window, Kind::Tab, Kind::Tab] {
            self.open_in(kind).await;
        }
    }

    /// Waits until the script says yes in the current page.
    pub(super) async fn until(&self, what: &str, script: &str) -> Value {
        self.browser.wait_for(what, script, PATIENCE).await.unwrap()
    }

    /// Waits until so many notifications are listed in the current page.
    pub(super) async fn until_listed(&self, count: usize) {
        let script = format!("return document.querySelectorAll('.bw-row').length === {count}");
        self.until(&format!("{count} in the list"), &script).await;
    }

    /// Waits until each page lists so many.
    pub(super) async fn until_all_list(&self, count: usize) {
        for page in &self.pages {
            self.browser.switch(page).await.unwrap();
            self.until_listed(count).await;
        }
    }

    /// Waits until a notification with this title has become so.
    pub(super) async fn until_notice(&self, title: &str, what: &str, so: impl Fn(&Notice) -> bool) {
        let what = format!("{title} {what}");
        let look = || async {
            let notices = self.browser.notices().await?;
            Ok(notices.iter().any(|notice| notice.title == title && so(notice)).then_some(()))
        };
        eventually(&what, PATIENCE, look).await.unwrap();
    }

    /// What was shown on the desktop in all, once there are so many; each title once.
    pub(super) async fn shown_once(&self, count: usize) -> Vec<String> {
        let notices = match self.browser.wait_notices(count, PATIENCE).await {
            Ok(notices) => notices,
            Err(error) => panic!("{error:#}; {}", self.looks().await),
        };
        let mut titles: Vec<String> = notices.into_iter().map(|notice| notice.title).collect();
        titles.sort_unstable();
        let all = titles.len();
        titles.dedup();
        assert_eq!((titles.len(), all), (count, count), "{titles:?}");
        titles
    }

    /// What each page says, for whoever wants to know what went wrong.
    async fn looks(&self) -> String {
        let mut looks = String::new();
        for (number, page) in self.pages.iter().enumerate() {
            let text = match self.browser.switch(page).await {
                Ok(()) => self.browser.run("return document.body.textContent").await,
                Err(error) => Err(error),
            };
            looks += &format!("\npage {number}: {text:?}");
        }
        looks
    }

    /// Sends problems of hosts with these names.
    pub(super) async fn notify(&self, names: &[&str]) {
        let all: Vec<Value> = names.iter().map(|name| down(&self.trial.user_and_key().0, name)).collect();
        send_all(self.trial.listen, &Value::Array(all)).await;
    }
}

/// A host that is down: its title is the name.
pub(super) fn down(user: &str, name: &str) -> Value {
    let host = json!({ "id": format!("id-of-{name}"), "name": name });
    json!({ "user": user, "kind": "host", "type": "PROBLEM", "state": 1, "host": host, "title": name, "body": "no answer" })
}
