//! A pod that runs: a network namespace, and each container in a mount and a process namespace of its own, with the files,
//! the user, the rights, the arguments and the environment that its spec says, and nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bellwire_testkit::eventually::eventually;
use bellwire_testkit::process::{Process, binary};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use super::net::{Network, run};
use super::volumes::{self, Site, Volume};
use crate::objects::{Objects, list, selects, text};

/// What the image of packaging/Dockerfile says of itself.
const ENTRYPOINT: &str = "/usr/bin/bellwire";
const IMAGE_USER: u64 = 65532;
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Of a machine that builds something else.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the image has, in an empty file system: the two programs and libraries, no shell. `$1` is the mount point, `$2` and
/// `$3` the programs, `$4` a folder with the files that the kubelet puts into /etc. What the pod mounts comes behind it.
const ROOT: &str = r#"
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$1"
cd "$1"
mkdir -p proc dev etc/ssl/certs etc/bellwire usr/bin usr/lib usr/lib64 tmp var/lib
chmod 1777 tmp
ln -s usr/lib lib
ln -s usr/lib64 lib64
mount --bind -o ro /usr/lib usr/lib
[ ! -d /usr/lib64 ] || mount --bind -o ro /usr/lib64 usr/lib64
: >usr/bin/bellwire; mount --bind -o ro "$2" usr/bin/bellwire
: >usr/bin/bellwire-notify; mount --bind -o ro "$3" usr/bin/bellwire-notify
cp /etc/ssl/certs/ca-certificates.crt etc/ssl/certs/
echo 'nonroot:x:65532:65532:nonroot:/:/sbin/nologin' >etc/passwd
echo 'nonroot:x:65532:' >etc/group
echo 'hosts: files' >etc/nsswitch.conf
for file in hosts hostname; do : >etc/$file; mount --bind -o ro "$4/$file" etc/$file; done
for device in null zero full random urandom; do : >dev/$device; mount --bind /dev/$device dev/$device; done
# The way in, which is not in the image.
: >.setpriv; mount --bind -o ro "$(command -v setpriv)" .setpriv
mount -t proc proc proc
"#;

/// A pod that is to be.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) name: String,
    pub(super) address: Ipv4Addr,
    pub(super) labels: Value,
    pub(super) spec: Value,
    /// Of a StatefulSet.
    pub(super) claims: Vec<Value>,
    pub(super) ready: Arc<AtomicBool>,
}

/// What pods find around them.
pub(super) struct Surroundings<'a> {
    pub(super) objects: &'a Objects,
    pub(super) site: &'a Site,
    pub(super) namespace: &'a str,
    /// Where claims are.
    pub(super) claims: &'a Path,
    /// The text of /etc/hosts.
    pub(super) hosts: String,
    /// Service links, for pods that want them.
    pub(super) links: Vec<(String, String)>,
}

/// One that runs. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Pod {
    pub(super) plan: Plan,
    /// Before the sandbox: their namespace is its.
    containers: Vec<Process>,
    sandbox: Process,
    volumes: BTreeMap<String, Volume>,
    dir: TempDir,
}

// === impl Plan ===

impl Plan {
    pub(super) fn is_selected(&self, selector: &Value) -> bool {
        selects(selector, &self.labels)
    }

    /// The number of a port that something names.
    pub(super) fn port(&self, wanted: &Value) -> Option<u16> {
        match wanted {
            Value::String(name) => {
                let mut ports = list(&self.spec, "/containers").iter().flat_map(|c| list(c, "/ports"));
                ports.find(|port| text(port, "/name") == name)?["containerPort"].as_u64()?.try_into().ok()
            }
            // Nothing in Kubernetes asks whether a container has a port of this number.
            number => number.as_u64()?.try_into().ok(),
        }
    }
}

// === impl Pod ===

impl Pod {
    /// Makes its namespaces and files, and starts its containers, the first ones one after the other.
    pub(super) async fn start(plan: Plan, around: &Surroundings<'_>) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("bellwire-pod-").tempdir()?;
        let volumes = volumes::make(
            &plan.spec,
            &plan.claims,
            around.objects,
            around.site,
            &dir.path().join("volumes"),
            around.claims,
        )?;
        fs::create_dir_all(dir.path().join("etc"))?;
        fs::create_dir_all(dir.path().join("root"))?;
        let own = format!("{} {}\n", plan.address, plan.name);
        fs::write(
            dir.path().join("etc/hosts"),
            format!("127.0.0.1 localhost\n{own}{}{}", aliases(&plan.spec), around.hosts),
        )?;
        fs::write(dir.path().join("etc/hostname"), format!("{}\n", plan.name))?;

        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "unshare", "--net", "--uts", "/bin/sh", "-euc"]);
        command.args([r#"hostname "$1"; echo open; exec sleep infinity"#, "sh", &plan.name]);
        let sandbox = Process::spawn(&format!("sandbox of {}", plan.name), command)?;
        sandbox.line("open", PATIENCE).await.context("this needs root's rights for namespaces of its own")?;
        Network::join(sandbox.pid(), plan.address).await?;

        let mut pod = Self { plan, containers: Vec::new(), sandbox, volumes, dir };
        for container in list(&pod.plan.spec, "/initContainers").to_vec() {
            let mut process = pod.spawn(&container, around).await?;
            let status = process.wait(PATIENCE).await?;
            ensure!(status.success(), "{}: {status}:\n{}", container["name"], process.output());
        }
        for container in list(&pod.plan.spec, "/containers").to_vec() {
            let process = pod.spawn(&container, around).await?;
            pod.containers.push(process);
        }
        Ok(pod)
    }

    async fn spawn(&self, container: &Value, around: &Surroundings<'_>) -> Result<Process> {
        let name = format!("{} in {}", text(container, "/name"), self.plan.name);
        let mut command = Command::new("setpriv");
        let sandbox = self.sandbox.pid().to_string();
        command.args(["--pdeathsig", "KILL", "nsenter", "--net", "--uts", "--target", &sandbox]);
        command.args(["unshare", "--mount", "--pid", "--fork", "--kill-child", "/bin/sh", "-euc"]);
        command.arg(format!("{ROOT}{}", self.script(container)?)).arg("sh");
        command.arg(self.dir.path().join("root")).args([binary("bellwire"), binary("bellwire-notify")]);
        command.arg(self.dir.path().join("etc"));
        command.env_clear().env("PATH", PATH).envs(self.environment(container, around)?);
        Process::spawn(&name, command)
    }

    /// What comes behind [`ROOT`]: mounts, and the program with its user and rights.
    fn script(&self, container: &Value) -> Result<String> {
        let mut script = String::new();
        for mount in list(container, "/volumeMounts") {
            let volume = text(mount, "/name");
            let volume = self.volumes.get(volume).with_context(|| format!("there is no volume {volume:?}"))?;
            // A link is followed now, and never again: why what is mounted so does not follow a change.
            let source = match text(mount, "/subPath") {
                "" => volume.path.clone(),
                part => volume.path.join(part).canonicalize().with_context(|| format!("no {part:?} for {mount}"))?,
            };
            let target = text(mount, "/mountPath").trim_start_matches('/');
            ensure!(!target.is_empty(), "no mountPath: {mount}");
            if source.is_dir() {
                script.push_str(&format!("mkdir -p {}\n", quoted(target)));
            } else {
                script.push_str(&format!("mkdir -p \"$(dirname {0})\"; : >{0}\n", quoted(target)));
            }
            let read_only = if volume.read_only || mount["readOnly"] == true { "-o ro" } else { "" };
            script.push_str(&format!(
                "mount --bind {read_only} {} {}\n",
                quoted(&source.display().to_string()),
                quoted(target)
            ));
        }
        let own = &container["securityContext"];
        if own["readOnlyRootFilesystem"] == true {
            script.push_str("mount -o remount,ro \"$1\"\n");
        }
        let words: Vec<_> =
            self.entrance(own)?.into_iter().chain(words(container)?).map(|word| quoted(&word)).collect();
        script.push_str(&format!("exec chroot \"$1\" {}\n", words.join(" ")));
        Ok(script)
    }

    /// As whom, and with which rights.
    fn entrance(&self, own: &Value) -> Result<Vec<String>> {
        let of_pod = &self.plan.spec["securityContext"];
        let number = |name: &str| own.get(name).or_else(|| of_pod.get(name)).and_then(Value::as_u64);
        let user = number("runAsUser").unwrap_or(IMAGE_USER);
        let group = number("runAsGroup").unwrap_or(if number("runAsUser").is_some() { 0 } else { IMAGE_USER });
        ensure!(
            user != 0 || own["runAsNonRoot"] != true && of_pod["runAsNonRoot"] != true,
            "runAsNonRoot, but the user is root"
        );
        let mut words = vec!["/.setpriv".to_owned(), format!("--reuid={user}"), format!("--regid={group}")];
        match number("fsGroup") {
            Some(group) => words.push(format!("--groups={group}")),
            None => words.push("--clear-groups".to_owned()),
        }
        if own["allowPrivilegeEscalation"] == false {
            words.push("--no-new-privs".to_owned());
        }
        if list(own, "/capabilities/drop").iter().any(|name| name == "ALL") {
            words.extend(["--bounding-set=-all".to_owned(), "--inh-caps=-all".to_owned()]);
        }
        // With another user the kernel forgets what `unshare --kill-child` has asked for.
        words.push("--pdeathsig=KILL".to_owned());
        Ok(words)
    }

    fn environment(&self, container: &Value, around: &Surroundings<'_>) -> Result<Vec<(String, String)>> {
        let mut all = vec![("HOSTNAME".to_owned(), self.plan.name.clone())];
        // Every pod has those of the API server; those of other Services only where it asks for them, which is the default.
        all.extend(
            [("KUBERNETES_SERVICE_HOST", "198.51.100.1"), ("KUBERNETES_SERVICE_PORT", "443")]
                .map(|(n, v)| (n.to_owned(), v.to_owned())),
        );
        if self.plan.spec["enableServiceLinks"] != false {
            all.extend(around.links.iter().cloned());
        }
        for from in list(container, "/envFrom") {
            let (kind, reference) = if let Some(map) = from.get("configMapRef") {
                ("ConfigMap", map)
            } else {
                ("Secret", &from["secretRef"])
            };
            for (name, value) in around.site.files(around.objects, kind, text(reference, "/name"))? {
                all.push((format!("{}{name}", text(from, "/prefix")), String::from_utf8(value)?));
            }
        }
        for variable in list(container, "/env") {
            all.push((text(variable, "/name").to_owned(), self.value(variable, around)?));
        }
        Ok(all)
    }

    fn value(&self, variable: &Value, around: &Surroundings<'_>) -> Result<String> {
        let from = &variable["valueFrom"];
        if from.is_null() {
            return Ok(text(variable, "/value").to_owned());
        }
        for (reference, kind) in [("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")] {
            if let Some(reference) = from.get(reference) {
                let files = around.site.files(around.objects, kind, text(reference, "/name"))?;
                let value = files.get(text(reference, "/key")).with_context(|| format!("no key for {variable}"))?;
                return Ok(String::from_utf8(value.clone())?);
            }
        }
        Ok(match text(from, "/fieldRef/fieldPath") {
            "metadata.name" => self.plan.name.clone(),
            "metadata.namespace" => around.namespace.to_owned(),
            "status.podIP" => self.plan.address.to_string(),
            "spec.nodeName" => "node".to_owned(),
            _ => bail!("these tests have no such value: {variable}"),
        })
    }

    /// Waits until its probes find it started, ready and alive, each as it is written.
    pub(super) async fn wait_ready(&mut self) -> Result<()> {
        for container in list(&self.plan.spec, "/containers").to_vec() {
            for name in ["startupProbe", "readinessProbe", "livenessProbe"] {
                let Some(probe) = container.get(name) else { continue };
                let number = |field: &str, default: u64| probe.get(field).and_then(Value::as_u64).unwrap_or(default);
                let given =
                    number("initialDelaySeconds", 0) + number("periodSeconds", 10) * number("failureThreshold", 3);
                // Only the one for the start is given up by Kubernetes; a pod that never gets ready is a failure here.
                let given = if name == "readinessProbe" { PATIENCE } else { Duration::from_secs(given) };
                let plan = self.plan.clone();
                let what = format!("{name} of {}", plan.name);
                let passed = eventually(&what, given, || async { Ok(passes(&plan, probe).await?.then_some(())) });
                let ended = async {
                    loop {
                        for process in &mut self.containers {
                            process.check_alive()?;
                        }
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                };
                let result: Result<()> = tokio::select! { passed = passed => passed, ended = ended => ended };
                result.with_context(|| self.output())?;
            }
        }
        self.plan.ready.store(true, Ordering::Release);
        Ok(())
    }

    /// Ends it as Kubernetes does: no new connections, what is to be done before, SIGTERM; how long it took of the time that
    /// it is given, in which what comes before counts.
    pub(super) async fn end(&mut self) -> Result<Duration> {
        self.plan.ready.store(false, Ordering::Release);
        let grace = self.plan.spec["terminationGracePeriodSeconds"].as_u64().unwrap_or(30);
        let hook = self.plan.spec.pointer("/containers/0/lifecycle/preStop");
        let before = match hook {
            None => 0,
            // Waited for by the load balancers outside; there are none here.
            Some(hook) => hook
                .pointer("/sleep/seconds")
                .and_then(Value::as_u64)
                .with_context(|| format!("{hook} needs more than the image has"))?,
        };
        let start = Instant::now();
        for process in &self.containers {
            // The one in the process namespace, not the one that waits for it.
            let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", process.pid()))?;
            run("kill", &["-TERM", children.trim()]).await?;
        }
        for process in &mut self.containers {
            let status = process.wait(Duration::from_secs(grace.saturating_sub(before))).await?;
            ensure!(status.success(), "{}: {status}:\n{}", self.plan.name, process.output());
        }
        Ok(start.elapsed())
    }

    /// Waits for the end of one that ends by itself.
    pub(super) async fn finish(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let status = self.containers.first_mut().context("a container")?.wait(deadline).await?;
        self.containers[0].written(PATIENCE).await;
        Ok(status)
    }

    /// Everything that its containers have written.
    pub(super) fn output(&self) -> String {
        self.containers.iter().map(Process::output).collect::<Vec<_>>().join("\n")
    }
}

/// Asks as a probe does: any certificate will do, and any answer below 400.
async fn passes(plan: &Plan, probe: &Value) -> Result<bool> {
    let get = probe.get("httpGet").with_context(|| format!("these tests have no such probe: {probe}"))?;
    let port = plan.port(&get["port"]).with_context(|| format!("{}: no port for {probe}", plan.name))?;
    let scheme = get.get("scheme").and_then(Value::as_str).unwrap_or("HTTP").to_lowercase();
    let url = format!("{scheme}://{}:{port}{}", plan.address, text(get, "/path"));
    let mut words = vec!["--silent", "--insecure", "--noproxy", "*", "--max-time", "5", "--output", "/dev/null"];
    words.extend(["--write-out", "%{http_code}", &url]);
    let code = run("curl", &words).await?;
    Ok((200..400).contains(&code.trim().parse::<u16>()?))
}

/// The program and its arguments, with `$(NAME)` filled in.
fn words(container: &Value) -> Result<Vec<String>> {
    let all = |pointer| list(container, pointer).iter().map(|word| word.as_str().map(str::to_owned).context("a word"));
    let mut words = all("/command").collect::<Result<Vec<_>>>()?;
    if words.is_empty() {
        words.push(ENTRYPOINT.to_owned());
    }
    words.extend(all("/args").collect::<Result<Vec<_>>>()?);
    for variable in list(container, "/env") {
        let name = format!("$({})", text(variable, "/name"));
        words = words.into_iter().map(|word| word.replace(&name, text(variable, "/value"))).collect();
    }
    Ok(words)
}

fn aliases(spec: &Value) -> String {
    let line = |alias: &Value| {
        let names: Vec<_> = list(alias, "/hostnames").iter().filter_map(Value::as_str).collect();
        format!("{} {}\n", text(alias, "/ip"), names.join(" "))
    };
    list(spec, "/hostAliases").iter().map(line).collect()
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
