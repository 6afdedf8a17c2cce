//! Hands notifications to the first ingest that takes them, under one deadline.

use std::time::{Duration, Instant};

use ureq::http::header::CONTENT_TYPE;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, Error};

use crate::address::Address;
use crate::answer::{ANSWER_BYTES_MAX, Answer, judge};
use crate::args::Delivery;
use crate::credentials::{self, certificates};
use crate::lookup::Lookup;

/// The whole request and answer fit; what is not used is never touched.
const BUFFER_BYTES: usize = 16 * 1024;

/// What became of a notification.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// An ingest has confirmed it.
    Safe,
    /// It is too old to be shown.
    Stale,
    /// Ingest will never take it; says why.
    Refused(String),
    /// An ingest is there, but has no log for this user now; says why for each address.
    Unavailable(String),
    /// No ingest took it within the deadline; says why for each address.
    NotTaken(String),
}

/// Sends notifications, one after another, to the same addresses and within one deadline.
pub(crate) struct Sender {
    agent: Agent,
    addresses: Vec<Address>,
    /// Index of the address that answered last.
    first: usize,
    /// Value of the header `Authorization`.
    authorization: Option<String>,
    deadline: Instant,
}

impl Sender {
    /// Reads token and certificates; the error names the file and what is wrong with it. The deadline counts from
    /// `started`.
    pub(crate) fn try_new(delivery: &Delivery, started: Instant) -> Result<Self, String> {
        let authorization = delivery.token_file.as_deref().map(credentials::token).transpose()?;
        let authorization = authorization.map(|token| format!("Bearer {token}"));
        let mut config = Agent::config_builder()
            // No proxy, whatever the environment says: engines export one for their plugins, and an alarm must not
            // depend on it.
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .input_buffer_size(BUFFER_BYTES)
            .output_buffer_size(BUFFER_BYTES)
            .user_agent(concat!("bellwire-notify/", env!("CARGO_PKG_VERSION")));
        if delivery.addresses.iter().any(Address::is_https) {
            config = config.tls_config(tls(delivery)?);
        }
        Ok(Self {
            agent: Agent::with_parts(config.build(), DefaultConnector::default(), Lookup),
            addresses: delivery.addresses.clone(),
            first: 0,
            authorization,
            deadline: started + delivery.deadline,
        })
    }

    /// Whether there is time for another notification.
    pub(crate) fn has_time(&self) -> bool {
        Instant::now() < self.deadline
    }

    /// Offers the notification `id`, whose JSON is `body`, to one address after another, from the one that answered
    /// last. Each gets an equal share of the time that is left, so that a silent one leaves time for the next.
    pub(crate) fn send(&mut self, body: &[u8], id: &str) -> Outcome {
        let count = self.addresses.len();
        let mut reasons = Vec::with_capacity(count);
        let mut is_unavailable = false;
        for turn in 0..count {
            let index = (self.first + turn) % count;
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                reasons.push(format!("no time left for {}", self.addresses[index]));
                break;
            }
            let share = left / u32::try_from(count - turn).unwrap_or(1);
            match self.post(index, body, id, share) {
                Answer::Safe => {
                    self.first = index;
                    return Outcome::Safe;
                }
                Answer::Stale => {
                    self.first = index;
                    return Outcome::Stale;
                }
                Answer::Refused(reason) => return Outcome::Refused(reason),
                Answer::Unavailable(reason) => {
                    is_unavailable = true;
                    reasons.push(format!("{}: {reason}", self.addresses[index]));
                }
                Answer::Later(reason) => reasons.push(format!("{}: {reason}", self.addresses[index])),
            }
        }
        let reasons = reasons.join("; ");
        if is_unavailable { Outcome::Unavailable(reasons) } else { Outcome::NotTaken(reasons) }
    }

    fn post(&self, index: usize, body: &[u8], id: &str, share: Duration) -> Answer {
        let mut request = self.agent.post(self.addresses[index].url()).content_type("application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let request = request.config().timeout_global(Some(share)).build();
        let answer = request.send(body).and_then(|mut response| {
            let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec()?;
            Ok((response, body))
        });
        match answer {
            Ok((response, body)) => {
                let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
                judge(response.status().as_u16(), content_type.unwrap_or_default(), &body, id)
            }
            Err(error) => Answer::Later(describe(&error, share)),
        }
    }
}

fn describe(error: &Error, share: Duration) -> String {
    match error {
        Error::Timeout(_) => format!("no answer within {share:.1?}"),
        Error::BodyExceedsLimit(_) => format!("an answer of more than {ANSWER_BYTES_MAX} bytes: is it an ingest?"),
        Error::Io(error) => error.to_string(),
        other => other.to_string(),
    }
}

fn tls(delivery: &Delivery) -> Result<TlsConfig, String> {
    let mut tls = TlsConfig::builder();
    if let Some(path) = &delivery.ca_file {
        tls = tls.root_certs(RootCerts::new_with_certs(&certificates("--ca-file", path)?));
    }
    let client = credentials::certificate(delivery.client_cert.as_deref(), delivery.client_key.as_deref())?;
    Ok(tls.client_cert(client).build())
}
