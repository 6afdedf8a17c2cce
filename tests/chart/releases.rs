//! Commands of the documentation as they stand there, one after the other, with helm's own driver that keeps releases in memory.
//! The API that helm asks knows nothing but its version: what pods do is tried in `running`.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::{fs, thread};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::helm::{BOTH, Helm, LATE, root, text, tools};
use crate::objects::Objects;
use crate::{rules, settings};

/// Answers what helm asks before it renders.
static API: LazyLock<SocketAddr> = LazyLock::new(|| {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Who hangs up has got what it wanted.
            thread::spawn(move || answer(stream).ok());
        }
    });
    address
});

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let path = request.split([' ', '?']).nth(1).unwrap_or_default();
    let (major, minor) = LATE.split_once('.').unwrap_or_default();
    let body = match path {
        "/version" => json!({"major": major, "minor": minor, "gitVersion": format!("v{LATE}.0")}),
        "/api" => json!({"kind": "APIVersions", "versions": ["v1"]}),
        "/api/v1" => json!({"kind": "APIResourceList", "groupVersion": "v1", "resources": []}),
        "/apis" => json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": []}),
        _ => Value::Null,
    };
    let status = if body.is_null() { "404 Not Found" } else { "200 OK" };
    let body = body.to_string();
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

/// A site whose releases last from one command to the next.
struct Site {
    dir: TempDir,
    release: Value,
}

// === impl Site ===

impl Site {
    fn new(helm: Helm) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let program = if helm == Helm::V3 { "helm-3" } else { "helm-4" };
        symlink(tools().join(program), dir.path().join("helm")).unwrap();
        Self { dir, release: Value::Null }
    }

    /// Runs a line of a shell that has `helm` in it, in the root of the tree; gives its complaint.
    fn run(&mut self, line: &str) -> Result<(), String> {
        let known = if self.release.is_null() { json!([]) } else { json!([self.release]) };
        let data = self.dir.path().join("releases.yaml");
        fs::write(&data, known.to_string()).unwrap();
        let mut shell = Command::new("sh");
        shell.env_clear().env("PATH", format!("{}:/usr/bin:/bin", self.dir.path().display()));
        shell.env("HOME", self.dir.path()).env("KUBECONFIG", "/dev/null");
        shell.env("HELM_DRIVER", "memory").env("HELM_MEMORY_DRIVER_DATA", &data);
        shell.env("HELM_KUBEAPISERVER", format!("http://{}", *API));
        let line = format!("{line} --output json");
        let output = shell.args(["-c", &line]).current_dir(root()).stdin(Stdio::null()).output().unwrap();
        if !output.status.success() {
            return Err(text(&output.stderr));
        }
        self.release = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
        Ok(())
    }

    fn must(&mut self, line: &str) {
        self.run(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert_eq!(self.release["info"]["status"], "deployed", "{line}");
    }

    fn objects(&self) -> Objects {
        Objects::parse(self.release["manifest"].as_str().unwrap()).unwrap()
    }

    fn notes(&self) -> &str {
        self.release["info"]["notes"].as_str().unwrap()
    }

    /// Shards that gateways read, those that they read too, and those that ingests write to.
    fn shards(&self) -> (i64, Option<i64>, i64) {
        let objects = self.objects();
        let of = |end: &str, name: &str| {
            let pod = objects.get("Deployment", end).pod().unwrap();
            settings::of(&objects, pod).unwrap().table().get(name).and_then(toml::Value::as_integer)
        };
        (of("-gateway", "shards").unwrap(), of("-gateway", "shards-also"), of("-ingest", "shards").unwrap())
    }
}

fn page(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// The commands with this beginning; comments may have them, too.
fn commands(page: &str, begin: &str) -> Vec<String> {
    let whole = page.replace("\\\n", " ");
    let lines = whole.lines().map(|line| line.trim_start_matches(['#', ' ']));
    lines.filter(|line| line.starts_with(begin)).map(str::to_owned).collect()
}

#[test]
fn the_steps_of_a_change_of_shards_follow_each_other() {
    let page = page("docs/kubernetes.md");
    let install = commands(&page, "helm install ").into_iter().next().unwrap();
    let steps = commands(&page, "helm upgrade ");
    assert_eq!(steps.len(), 3, "{steps:#?}");
    for helm in BOTH {
        let mut site = Site::new(helm);
        site.must(&install);
        assert_eq!(site.shards(), (4, None, 4), "{helm:?}");
        let given = site.release["config"]["openitcockpit"].clone();
        // And again, to fewer: nothing of the first change may be left.
        for (from, to) in [(4, 8), (8, 2)] {
            for (step, wanted) in steps.iter().zip([(from, Some(to), from), (from, Some(to), to), (to, None, to)]) {
                site.must(&step.replace("=8", &format!("={to}")));
                assert_eq!(site.shards(), wanted, "{helm:?}, {step}");
                assert_eq!(rules::problems(&site.objects()), Vec::<String>::new(), "{helm:?}, {step}");
            }
        }
        assert_eq!(site.release["config"]["openitcockpit"], given, "{helm:?}");
    }
}

/// The one that many know keeps the old values as if they were the chart's, so that null does not take one away.
#[test]
fn the_steps_need_the_flag_that_they_have() {
    for helm in BOTH {
        let mut site = Site::new(helm);
        site.must(&commands(&page("docs/kubernetes.md"), "helm install ")[0]);
        site.must("helm upgrade bellwire helm/bellwire --reuse-values --set shards.next=8");
        let last = "helm upgrade bellwire helm/bellwire --reuse-values --set shards.count=8,shards.next=null";
        let error = site.run(last).unwrap_err();
        assert!(error.contains("shards.next is 8"), "{helm:?}: {error}");
    }
}

#[test]
fn documented_installations_work_and_can_be_upgraded() {
    let mut seen = 0;
    let presets = ["small", "production", "openshift"].map(|name| format!("helm/bellwire/values-{name}.yaml"));
    let pages = ["docs/kubernetes.md", "helm/bellwire/README.md"].into_iter().chain(presets.iter().map(String::as_str));
    for file in pages {
        for install in commands(&page(file), "helm install ") {
            // What it leaves to another preset's page.
            let install = install.replace(" ...", " --set openitcockpit.url=https://monitoring.example");
            for helm in BOTH {
                let mut site = Site::new(helm);
                site.must(&install);
                assert!(site.notes().contains("is in namespace default"), "{file}: {}", site.notes());
                site.must("helm upgrade bellwire helm/bellwire --reset-then-reuse-values --set image.tag=v9");
                assert!(site.objects().pods().iter().all(|pod| pod.spec.to_string().contains("bellwire:v9")), "{file}");
            }
            seen += 1;
        }
    }
    assert!(seen >= 7, "{seen}");
}

/// What `helm install` of these values says.
fn notes(values: &str) -> String {
    let mut site = Site::new(Helm::V4);
    let file = site.dir.path().join("values.yaml");
    fs::write(&file, values).unwrap();
    site.must(&format!("helm install bellwire helm/bellwire --values {}", file.display()));
    site.notes().to_owned()
}

const SITE: &str = "
existingSecret: bellwire
openitcockpit: {url: 'https://monitoring.example'}
rabbitmq: {external: {hosts: [rabbit.example]}}
";

#[test]
fn engines_outside_are_told_what_the_certificate_needs() {
    let tls = "tls: {enabled: true, certManager: {enabled: true, issuerRef: {name: a}, MORE}}\n";
    let balancer = "ingest: {service: {type: LoadBalancer}}\n";
    let said = |more: &str, ingest: &str| notes(&format!("{SITE}{}{ingest}", tls.replace(", MORE", more)));
    let refused = "engines refuse it";

    let bare = said("", balancer);
    assert!(bare.contains("--ingest https://ADDRESS:8084") && bare.contains("--ca-file FILE"), "{bare}");
    assert!(bare.contains("get secret bellwire-tls -o jsonpath='{.data.ca\\.crt}'"), "{bare}");
    assert!(bare.contains(refused), "{bare}");
    for more in [", dnsNames: [in.example]", ", ipAddresses: [192.0.2.10]"] {
        let named = said(more, balancer);
        assert!(!named.contains(refused) && named.contains("certificate: "), "{named}");
    }
    // By an Ingress they meet its certificate.
    let ingress = said(
        "",
        "ingest: {ingress: {enabled: true, controller: haproxy, hosts: [in.example], tls: [{hosts: [in.example]}]}}\n",
    );
    assert!(!ingress.contains("--ca-file") && !ingress.contains(refused), "{ingress}");
    let plain = notes(&format!("{SITE}{balancer}"));
    assert!(!plain.contains("--ca-file") && plain.contains("tokens can be read on the way"), "{plain}");
}

#[test]
fn an_ingress_that_cannot_know_of_tls_is_mentioned() {
    let said = |controller: &str| {
        notes(&format!(
            "{SITE}tls: {{enabled: true, existingSecret: a}}\ngateway: {{ingress: {{enabled: true, hosts: [a.example], controller: '{controller}'}}}}\n"
        ))
    };
    assert!(said("").contains("set gateway.ingress.controller"));
    assert!(!said("haproxy").contains("set gateway.ingress.controller"));
}
