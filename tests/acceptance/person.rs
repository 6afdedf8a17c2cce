//! Somebody at openITCOCKPIT's pages, with a browser of their own.

use bellwire_testkit::tab::PATIENCE;
use bellwire_testkit::webdriver::{Browser, Kind, Notice, Window};
use serde_json::{Value, json};

use crate::site::{NAME, key};

/// The page of openITCOCKPIT 5.3, or the newer one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Page {
    V1,
    V2,
}

/// Greeted, and registered behind it.
const GREETED: &str = "return page.greetings";

pub(crate) struct Person {
    browser: Browser,
    pages: Vec<Window>,
}

impl Person {
    /// Logs in; `session` is the cookie's value.
    pub(crate) async fn log_in(session: &str) -> Self {
        let browser = Browser::start().await.unwrap();
        browser.record_notices().await.unwrap();
        browser.allow_notifications(&format!("https://{NAME}")).await.unwrap();
        let first = browser.window().await.unwrap();
        browser.go(&format!("https://{NAME}/users/login?session={session}")).await.unwrap();
        Self { browser, pages: vec![first] }
    }

    /// From now on all pages claim to be this user, whatever openITCOCKPIT says.
    pub(crate) async fn pretend(&self, user: i64) {
        let script = format!(
            "const ask = fetch; window.fetch = async (...all) => {{ const said = await (await ask(...all)).json(); \
             said.user.id = {user}; return {{ json: () => said }}; }}"
        );
        self.browser.before_pages(&script).await.unwrap();
    }

    /// Opens a page in one more window.
    pub(crate) async fn load(&mut self, page: Page) {
        let window = self.browser.open(Kind::Window).await.unwrap();
        let name = if page == Page::V1 { "v1" } else { "v2" };
        self.browser.go(&format!("https://{NAME}/a/{name}.html")).await.unwrap();
        self.pages.push(window);
    }

    /// Opens a page, and waits until it is registered.
    pub(crate) async fn open(&mut self, page: Page) {
        self.load(page).await;
        self.until("a greeting", GREETED).await;
        self.handled().await;
    }

    /// Waits until the script says yes in the page that was opened last.
    pub(crate) async fn until(&self, what: &str, script: &str) -> Value {
        match self.browser.wait_for(what, script, PATIENCE).await {
            Ok(value) => value,
            Err(error) => panic!("{error:#}; the page says {:?}", self.browser.console().await),
        }
    }

    /// What it returns in the page that was opened last.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.browser.run(script).await.unwrap()
    }

    /// Waits until the page that was opened last has handled everything that was sent to it: the answer to a keep-alive comes
    /// behind.
    pub(crate) async fn handled(&self) {
        let alive = json!({
            "task": "keepAlive", "key": key(), "uuid": "any", "type": "KeepAlive", "message": "KeepAlive",
        });
        self.run(&format!(
            "return new Promise((resolve) => {{ page.socket.addEventListener('message', ({{ data }}) => \
             /^keepalive$/i.test(JSON.parse(data).type) && resolve(true)); page.socket.send('{alive}'); }})"
        ))
        .await;
    }

    /// Everything that was shown, once there is so much: exactly so much.
    pub(crate) async fn shown(&self, count: usize) -> Vec<Notice> {
        let shown = match self.browser.wait_notices(count, PATIENCE).await {
            Ok(shown) => shown,
            Err(error) => panic!("{error:#}; the page says {:?}", self.browser.console().await),
        };
        assert_eq!(shown.len(), count, "{shown:#?}");
        shown
    }

    /// Clicks a notification of a page, and tells where the window goes that opens.
    pub(crate) async fn click(&self, notice: &Notice) -> String {
        for page in &self.pages {
            self.browser.switch(page).await.unwrap();
            if self.run("return location.href").await == *notice.page {
                break;
            }
        }
        let before = self.browser.windows().await.unwrap();
        let shown_by = self.browser.window().await.unwrap();
        self.browser.click_notice(&notice.title).await.unwrap();
        let opened = bellwire_testkit::eventually::eventually("one more window", PATIENCE, || async {
            Ok(self.browser.windows().await?.into_iter().find(|window| !before.contains(window)))
        });
        self.browser.switch(&opened.await.unwrap()).await.unwrap();
        self.until("the front end", "return document.title === 'Front end'").await;
        let place = self.run("return location.pathname").await;
        self.browser.close().await.unwrap();
        self.browser.switch(&shown_by).await.unwrap();
        place.as_str().unwrap().to_owned()
    }

    pub(crate) async fn leave(self) {
        self.browser.quit().await.unwrap();
    }
}
