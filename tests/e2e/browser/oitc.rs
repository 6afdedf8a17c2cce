//! openITCOCKPIT around the gateway: its nginx, with the pages of tests/pages in place of the front ends.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use bellwire_testkit::bellwire::KEY;
use bellwire_testkit::nginx::Nginx;
use bellwire_testkit::webdriver::{Browser, Kind, Window};

use crate::support::PATIENCE;

/// The user that is logged in.
pub(super) const USER: &str = "7";

/// The web server in front of a gateway.
pub(super) struct Oitc {
    pub(super) nginx: Nginx,
    pub(super) origin: String,
}

/// A page of one of the front ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Page {
    V1,
    V2,
}

impl Oitc {
    /// As openITCOCKPIT configures it, without the helper for old tabs.
    pub(super) async fn start(gateway: SocketAddr) -> Self {
        Self::with(gateway, "").await
    }

    /// With the helper, installed by the very lines of docs/openitcockpit-tabs.md.
    pub(super) async fn start_with_helper(gateway: SocketAddr) -> Self {
        Self::with(gateway, &documented()).await
    }

    async fn with(gateway: SocketAddr, custom: &str) -> Self {
        let pages = root().join("tests/pages");
        let rxjs = pages.join("node_modules/rxjs/dist/bundles/rxjs.umd.min.js");
        assert!(rxjs.is_file(), "no {}: run `npm ci` in tests/pages (tests/run browser does)", rxjs.display());
        let (pages, rxjs) = (pages.display(), rxjs.display());
        let server = format!(
            r#"
            add_header X-Frame-Options sameorigin;
            location ^~ /a/ {{
                alias {pages}/;
                index index.html;
                location = /a/rxjs.js {{ alias {rxjs}; }}
                location ~* \.js$ {{ expires max; }}
            }}
            location ~* \.(?:css|js)$ {{ return 404; }}
            location = /angular/push_configuration.json {{
                default_type application/json;
                return 200 '{{"user":{{"id":{USER},"hasPushContact":true}},"websocket":{{"PUSH_NOTIFICATIONS.URL":"ws://{{address}}/push_notifications","SUDO_SERVER.API_KEY":"{KEY}"}}}}';
            }}
            location /push_notifications {{
                proxy_pass http://{gateway};
                proxy_http_version 1.1;
                proxy_set_header Upgrade $http_upgrade;
                proxy_set_header Connection "upgrade";
            }}
            {custom}
            "#
        );
        let nginx = Nginx::start(&server).await.unwrap();
        let origin = format!("http://{}", nginx.address);
        Self { nginx, origin }
    }

    /// Lets a browser's pages show notifications, and records them.
    pub(super) async fn visit(&self, browser: &Browser) {
        browser.allow_notifications(&self.origin).await.unwrap();
        browser.record_notices().await.unwrap();
    }

    /// Opens a page in the current window and waits until it is greeted and registered.
    pub(super) async fn load(&self, browser: &Browser, page: Page) {
        let name = if page == Page::V1 { "v1" } else { "v2" };
        browser.go(&format!("{}/a/{name}.html", self.origin)).await.unwrap();
        browser.wait_for("a greeting", "return page.greetings", PATIENCE).await.unwrap();
    }

    /// The first window and one more, each with the page.
    pub(super) async fn two_windows(&self, browser: &Browser, page: Page) -> [Window; 2] {
        let first = browser.window().await.unwrap();
        self.load(browser, page).await;
        let second = browser.open(Kind::Window).await.unwrap();
        self.load(browser, page).await;
        [first, second]
    }
}

/// The configuration in the documentation, with the script where it is here.
fn documented() -> String {
    let text = std::fs::read_to_string(root().join("docs/openitcockpit-tabs.md")).unwrap();
    let (_, block) = text.split_once("```nginx\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let installed = "/usr/share/bellwire/openitcockpit-tabs.js";
    assert!(block.contains(installed), "{block}");
    block.replace(installed, &root().join("client/openitcockpit-tabs.js").display().to_string())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}
