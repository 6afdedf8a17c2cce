//! A release that runs: its pods, its Services, its own test.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::net::{Endpoint, Network, ServicePort};
use super::pod::{Plan, Pod, Surroundings};
use super::volumes::Site;
use crate::helm::NAMESPACE;
use crate::objects::{Object, Objects, list, text};

/// See the module.
pub(super) struct Cluster {
    objects: Objects,
    site: Site,
    network: Network,
    claims: TempDir,
    pods: Vec<Pod>,
    hosts: String,
    links: Vec<(String, String)>,
    _ports: Vec<ServicePort>,
}

/// A host outside of the cluster, by the name that the values say: where it really is.
pub(super) type Outside<'a> = (&'a str, u16, SocketAddr);

// === impl Cluster ===

impl Cluster {
    /// Starts all workloads of a render, and waits until all of their pods are ready. The test must have a network of its own,
    /// and only one cluster at a time.
    pub(super) async fn start(network: Network, objects: Objects, site: Site, outside: &[Outside<'_>]) -> Result<Self> {
        let claims = tempfile::Builder::new().prefix("bellwire-claims-").tempdir()?;
        let mut cluster = Self {
            objects,
            site,
            network,
            claims,
            pods: Vec::new(),
            hosts: String::new(),
            links: Vec::new(),
            _ports: Vec::new(),
        };
        let mut plans = Vec::new();
        for object in cluster.objects.0.iter().filter(|object| ["Deployment", "StatefulSet"].contains(&object.kind())) {
            let replicas = object.0["spec"]["replicas"].as_u64().unwrap_or(1);
            plans.extend((0..replicas).map(|at| plan(object, at, cluster.network.pod())));
        }
        let ready = Arc::new(AtomicBool::new(true));
        for (name, port, address) in outside {
            let here = cluster.network.service().await?;
            cluster.hosts.push_str(&format!("{here} {name}\n"));
            let endpoint = Endpoint { address: *address, ready: Arc::clone(&ready) };
            cluster._ports.push(ServicePort::open((here, *port).into(), vec![endpoint]).await?);
        }
        for service in cluster.objects.kind("Service").cloned().collect::<Vec<_>>() {
            cluster.serve(&service, &plans).await?;
        }
        cluster.run(plans).await?;
        Ok(cluster)
    }

    /// Its names, and its ports if it has an address of its own.
    async fn serve(&mut self, service: &Object, plans: &[Plan]) -> Result<()> {
        let name = service.name();
        let chosen: Vec<_> = plans.iter().filter(|plan| plan.is_selected(&service.0["spec"]["selector"])).collect();
        let headless = service.0["spec"]["clusterIP"] == "None";
        let addresses = if headless {
            chosen.iter().map(|plan| plan.address).collect()
        } else {
            vec![self.network.service().await?]
        };
        for address in &addresses {
            self.hosts.push_str(&format!(
                "{address} {name} {name}.{NAMESPACE} {name}.{NAMESPACE}.svc {name}.{NAMESPACE}.svc.cluster.local\n"
            ));
        }
        if headless {
            return Ok(());
        }
        for port in list(&service.0, "/spec/ports") {
            let number = port["port"].as_u64().and_then(|port| u16::try_from(port).ok()).context("a port")?;
            let target = port.get("targetPort").unwrap_or(&port["port"]);
            // A pod without a port of this name is no endpoint.
            let endpoint = |plan: &&Plan| {
                Some(Endpoint { address: (plan.address, plan.port(target)?).into(), ready: Arc::clone(&plan.ready) })
            };
            let endpoints = chosen.iter().filter_map(endpoint).collect();
            self._ports.push(ServicePort::open((addresses[0], number).into(), endpoints).await?);
            let variable = name.to_uppercase().replace('-', "_");
            self.links.push((format!("{variable}_SERVICE_HOST"), addresses[0].to_string()));
            self.links.push((format!("{variable}_PORT"), format!("tcp://{}:{number}", addresses[0])));
        }
        Ok(())
    }

    fn around(&self) -> Surroundings<'_> {
        Surroundings {
            objects: &self.objects,
            site: &self.site,
            namespace: NAMESPACE,
            claims: self.claims.path(),
            hosts: self.hosts.clone(),
            links: self.links.clone(),
        }
    }

    async fn run(&mut self, plans: Vec<Plan>) -> Result<()> {
        let around = self.around();
        let started = try_join_all(plans.into_iter().map(|plan| async {
            let mut pod = Pod::start(plan, &around).await?;
            pod.wait_ready().await?;
            anyhow::Ok(pod)
        }));
        let started = started.await?;
        self.pods.extend(started);
        Ok(())
    }

    /// Runs what `helm test` runs; what it wrote.
    pub(super) async fn test(&mut self) -> Result<String> {
        let hooks: Vec<_> = self
            .objects
            .0
            .iter()
            .filter(|o| text(&o.0, "/metadata/annotations/helm.sh~1hook") == "test")
            .cloned()
            .collect();
        ensure!(!hooks.is_empty(), "the chart has no test");
        let mut output = String::new();
        for hook in hooks {
            let plan = plan(&hook, 0, self.network.pod());
            let deadline = plan.spec["activeDeadlineSeconds"].as_u64().unwrap_or(300);
            let mut pod = Pod::start(plan, &self.around()).await?;
            let status = pod.finish(Duration::from_secs(deadline)).await?;
            ensure!(status.success(), "helm test: {status}:\n{}\n{}", pod.output(), self.output());
            output.push_str(&pod.output());
        }
        Ok(output)
    }

    /// Ends the pods whose names begin so; how many there were, and the longest that one took.
    pub(super) async fn end(&mut self, name: &str) -> Result<(usize, Duration)> {
        let (ending, staying) =
            std::mem::take(&mut self.pods).into_iter().partition(|pod| pod.plan.name.starts_with(name));
        self.pods = staying;
        let mut ending: Vec<Pod> = ending;
        let took = try_join_all(ending.iter_mut().map(Pod::end)).await?;
        Ok((took.len(), took.into_iter().max().unwrap_or_default()))
    }

    /// Starts again what has ended, from the same specs, with the same claims.
    pub(super) async fn restart(&mut self, ended: &[Plan]) -> Result<()> {
        self.run(ended.to_vec()).await
    }

    /// What runs.
    pub(super) fn plans(&self) -> Vec<Plan> {
        self.pods.iter().map(|pod| pod.plan.clone()).collect()
    }

    /// What its pods have written.
    pub(super) fn output(&self) -> String {
        self.pods.iter().map(|pod| format!("{}:\n{}", pod.plan.name, pod.output())).collect::<Vec<_>>().join("\n")
    }
}

fn plan(object: &Object, at: u64, address: Ipv4Addr) -> Plan {
    let pod = object.pod().expect("an object with pods");
    let name = if object.kind() == "Pod" { object.name().to_owned() } else { format!("{}-{at}", object.name()) };
    Plan {
        name,
        address,
        labels: pod.labels().clone(),
        spec: pod.spec.clone(),
        claims: list(&object.0, "/spec/volumeClaimTemplates").to_vec(),
        ready: Arc::new(AtomicBool::new(false)),
    }
}

/// Sets what is at a pointer in all objects of a kind; there must be one that has its parent.
pub(super) fn set(objects: &mut Objects, kind: &str, pointer: &str, value: Value) {
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    let mut found = false;
    for object in objects.0.iter_mut().filter(|object| object.kind() == kind) {
        match object.0.pointer_mut(parent) {
            Some(Value::Object(map)) => drop(map.insert(name.replace("~1", "/"), value.clone())),
            Some(Value::Array(list)) => list[name.parse::<usize>().expect("a number")] = value.clone(),
            _ => continue,
        }
        found = true;
    }
    assert!(found, "no {kind} with {parent}: {}", json!(objects.0.iter().map(Object::to_string).collect::<Vec<_>>()));
}
