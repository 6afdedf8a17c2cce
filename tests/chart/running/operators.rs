//! What operators would make of a render: cert-manager, and those of RabbitMQ.

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::Value;

use super::volumes::Site;
use crate::helm::NAMESPACE;
use crate::objects::{Objects, list, text};

/// A RabbitMQ that the chart asks for.
pub(super) struct Rabbit {
    /// Where its Service is.
    pub(super) host: String,
    /// What the user may configure, write and read: what a Permission says, or anything.
    pub(super) rights: [String; 3],
}

/// Adds the Secrets with certificates.
pub(super) fn certificates(objects: &Objects, mut site: Site) -> Result<Site> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate()?;
    let authority = params.self_signed(&key)?.pem();
    let issuer = Issuer::new(params, key);
    for certificate in objects.kind("Certificate") {
        let names = list(&certificate.0, "/spec/dnsNames").iter().filter_map(Value::as_str).map(str::to_owned);
        let key = KeyPair::generate()?;
        let made = CertificateParams::new(names.collect::<Vec<_>>())?.signed_by(&key, &issuer)?.pem();
        let files = [("tls.crt", made.as_str()), ("tls.key", &key.serialize_pem()), ("ca.crt", &authority)];
        site = site.with("Secret", text(&certificate.0, "/spec/secretName"), &files);
    }
    Ok(site)
}

/// Adds the Secret with RabbitMQ's user: that of a User, or the one that every RabbitmqCluster has.
pub(super) fn rabbit(objects: &Objects, site: Site, user: &str, password: &str) -> Result<(Site, Rabbit)> {
    let cluster = objects.kind("RabbitmqCluster").next().context("a RabbitmqCluster")?;
    let secret = match objects.kind("User").next() {
        Some(user) => format!("{}-user-credentials", user.name()),
        None => format!("{}-default-user", cluster.name()),
    };
    let site = site.with("Secret", &secret, &[("username", user), ("password", password)]);
    let right = |name: &str| {
        let permission = objects.kind("Permission").next();
        permission.map_or(".*", |permission| text(&permission.0, &format!("/spec/permissions/{name}"))).to_owned()
    };
    let rights = ["configure", "write", "read"].map(right);
    Ok((site, Rabbit { host: format!("{}.{NAMESPACE}.svc", cluster.name()), rights }))
}
