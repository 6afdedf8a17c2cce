//! openITCOCKPIT as Bellwire meets it: its database, its login, its nginx and its pages, on a server of its own.

use std::path::Path;

use bellwire_testkit::engine::{Engine, SETTINGS, openitcockpit};
use bellwire_testkit::eventually::eventually;
use bellwire_testkit::http;
use bellwire_testkit::login::Login;
use bellwire_testkit::mariadb::MariaDb;
use bellwire_testkit::package::{House, Unit, build};
use bellwire_testkit::process::Process;
use bellwire_testkit::tab::PATIENCE;
use tokio::net::TcpStream;

pub(crate) const HOST: &str = "c36b8048-93ce-4385-ac19-ab5c90574b77";
pub(crate) const SERVICE: &str = "74fd8f59-1348-4e16-85f0-4a5c57c7dd62";
const CONTACT: &str = "152aef40-ae38-4a01-b8f4-bb0b8a4a4b0b";

/// Who is notified, and the session of its login.
pub(crate) const ANN: (i64, &str) = (2, "session-of-ann");
/// Another user of openITCOCKPIT, whom no contact notifies.
pub(crate) const BOB: (i64, &str) = (3, "session-of-bob");

/// Its name, which browsers take for this machine's.
pub(crate) const NAME: &str = "monitoring.localhost";

/// The server block of openITCOCKPIT, as far as this concerns: pages in front, Bellwire's port, PHP for the rest.
const MASTER: &str = r#"
location /push_notifications {
    proxy_pass http://127.0.0.1:8083;
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection "upgrade";
}
location /a/ { root /srv/openitcockpit; try_files $uri /a/index.html; }
location /img/ { root /srv/openitcockpit; }
location = /users/login {
    add_header Set-Cookie "PHPSESSID=$arg_session; Path=/; Secure; HttpOnly; SameSite=Lax";
    default_type text/html;
    return 200 "<!doctype html><title>Logged in</title>";
}
location / { proxy_pass http://@LOGIN@; proxy_http_version 1.1; proxy_set_header Host $http_host; }
"#;
const NGINX: &str = "\
daemon off; master_process off; error_log stderr; pid /run/nginx.pid; events { }
http {
    include /etc/nginx/mime.types; access_log off;
    server {
        listen 127.0.0.1:443 ssl; ssl_certificate /etc/nginx/site.pem; ssl_certificate_key /etc/nginx/site.key;
        include /etc/nginx/openitc/master.conf; include /etc/nginx/openitc/custom.conf;
    }
}
";

/// As Debian's ssl-cert makes it, which openITCOCKPIT begins with; a service manager, which does not run here; openITCOCKPIT's
/// name; and its users.
const PREPARE: &str = "
getent passwd nagios >/dev/null || useradd --system --user-group nagios
echo '127.0.0.1 monitoring.localhost' >>/etc/hosts
openssl req -x509 -nodes -newkey rsa:2048 -days 30 -subj /CN=monitoring.localhost -addext basicConstraints=critical,CA:FALSE \
    -addext subjectAltName=DNS:monitoring.localhost -keyout /etc/nginx/site.key -out /etc/nginx/site.pem 2>/dev/null
chown -R www-data:nagios /opt/openitc/etc/mysql && chmod 660 /opt/openitc/etc/mysql/mysql.cnf
printf '#!/bin/sh\\necho \"$@\" >>/run/systemctl\\n' >/usr/local/bin/systemctl && chmod 755 /usr/local/bin/systemctl
";

/// Dropping it ends everything; the house goes last, as what runs in it is in the way otherwise.
pub(crate) struct Site {
    nginx: Option<Process>,
    pub(crate) login: Login,
    pub(crate) database: MariaDb,
    pub(crate) house: House,
}

impl Site {
    /// With Bellwire's packages in `/srv/packages`, not installed yet.
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let packages = build(dir.path(), "0.1.0").await.unwrap();
        let house = House::open().await.unwrap();
        for package in &packages {
            house.put(package, &format!("/srv/packages/{}", package.file_name().unwrap().display())).unwrap();
        }
        let database = database().await;
        house.put(&database.cnf(), "/opt/openitc/etc/mysql/mysql.cnf").unwrap();
        let login = Login::start().await.unwrap();
        login.set_key(&key());
        for (user, session) in [ANN, BOB] {
            login.log_in(&format!("PHPSESSID={session}"), user);
        }
        let mut this = Self { nginx: None, login, database, house };
        this.write_pages();
        this.house.sh(PREPARE).await.unwrap();
        this.reload_nginx().await;
        this
    }

    fn write_pages(&self) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pages");
        let rxjs = root.join("node_modules/rxjs/dist/bundles/rxjs.umd.min.js");
        assert!(rxjs.is_file(), "no {}: run `npm ci` in tests/pages (tests/run acceptance does)", rxjs.display());
        self.house.put(&rxjs, "/srv/openitcockpit/a/rxjs.js").unwrap();
        for page in ["common.js", "v1.html", "v1.js", "v2.html", "v2.js"] {
            self.house.put(&root.join(page), &format!("/srv/openitcockpit/a/{page}")).unwrap();
        }
        self.write("/srv/openitcockpit/a/index.html", "<!doctype html><head><title>Front end</title></head>");
        self.write("/etc/nginx/nginx.conf", NGINX);
        self.write("/etc/nginx/openitc/master.conf", &MASTER.replace("@LOGIN@", &self.login.address.to_string()));
        self.write("/etc/nginx/openitc/custom.conf", "");
    }

    pub(crate) fn write(&self, inside: &str, text: &str) {
        let path = self.house.path(inside);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) async fn reload_nginx(&mut self) {
        if let Some(mut old) = self.nginx.take() {
            old.kill().await.unwrap();
        }
        let nginx = Process::spawn("nginx", self.house.command("/usr/sbin/nginx")).unwrap();
        let listens = || async { Ok(Some(TcpStream::connect("127.0.0.1:443").await?)) };
        eventually("nginx", PATIENCE, listens).await.unwrap_or_else(|error| panic!("{error}: {}", nginx.output()));
        self.nginx = Some(nginx);
    }

    /// What a unit starts, once it is ready; `admin` is the port of its probes.
    pub(crate) async fn start_unit(&self, path: &str, admin: u16) -> Process {
        let unit = Unit::read(&self.house, path).await.unwrap();
        let process = Process::spawn(path, unit.start(&self.house).await.unwrap()).unwrap();
        let admin = ([127, 0, 0, 1], admin).into();
        let ready = || async { Ok((http::get(admin, "/readyz").await?.status == 200).then_some(())) };
        eventually("readiness", PATIENCE, ready).await.unwrap_or_else(|error| panic!("{error}: {}", process.output()));
        process
    }

    /// Nagios with what `bellwire openitcockpit commands` has printed, as openITCOCKPIT exports it.
    pub(crate) async fn engine(&self, printed: &str) -> Engine {
        let lines: Vec<_> = printed.lines().filter_map(|line| line.strip_prefix("    ")).map(str::to_owned).collect();
        let objects = openitcockpit(HOST, SERVICE, &[(CONTACT, Some(ANN.0))], &lines.try_into().unwrap());
        Engine::nagios_in(&self.house, "nagios", SETTINGS, &objects).await.unwrap()
    }

    /// A command in the house that may fail: its exit code, and what it says.
    pub(crate) async fn said(&self, script: &str) -> (i32, String) {
        let output = self.house.command("/bin/sh").args(["-c", script]).output().await.unwrap();
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        (output.status.code().unwrap_or(-1), text)
    }
}

/// As openITCOCKPIT's installation makes it.
pub(crate) fn key() -> String {
    "0123456789abcdef".repeat(10)
}

async fn database() -> MariaDb {
    let database = MariaDb::start().await.unwrap();
    database
        .run(&format!(
            "INSERT INTO hosts (id, uuid, name) VALUES (1, '{HOST}', 'web-01');\n\
             INSERT INTO servicetemplates (id, uuid, name) VALUES (1, UUID(), 'Ping');\n\
             INSERT INTO services (uuid, servicetemplate_id, host_id, name) VALUES ('{SERVICE}', 1, 1, 'Disk /');\n\
             INSERT INTO users (id) VALUES ({}), ({});\n\
             INSERT INTO contacts (uuid, user_id, host_push_notifications_enabled, service_push_notifications_enabled)\n\
             VALUES ('{CONTACT}', {}, 1, 1);\n",
            ANN.0, BOB.0, ANN.0
        ))
        .await
        .unwrap();
    database.set_key(&key()).await.unwrap();
    database
}
