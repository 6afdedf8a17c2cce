//! Sends spans by OTLP over HTTP, in batches, from a thread of its own with a bounded queue: who records one never waits.

use std::fmt;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, Key, KeyValue};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchSpanProcessor, SpanData, SpanEvents, SpanExporter as Export, SpanLinks, SpanProcessor,
};
use tracing::{info, warn};
use ureq::Agent;
use ureq::http::Uri;

use super::ids::{Ratio, SAMPLER, SAMPLER_ARG, TraceIds, WrongRatio};
use super::{ENDPOINT, Span, Step, TRACES_ENDPOINT, Traced};
use crate::fetch::{Client, Terms};
use crate::settings::{Invalid, Problem};
use crate::watched::{FILE_BYTES_MAX, read_bounded};

const DISABLED: &str = "OTEL_SDK_DISABLED";
const TIMEOUT: &str = "OTEL_EXPORTER_OTLP_TIMEOUT";
const TRACES_TIMEOUT: &str = "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT";
const CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";
const TRACES_CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE";
/// As the standard has it.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
/// A collector has little to say.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// Without the address: it may have a password in it.
const NO_ADDRESS: &str = "must be an address such as http://collector:4318";

static TRACER: OnceLock<Tracer> = OnceLock::new();

struct Tracer {
    ratio: Ratio,
    scope: InstrumentationScope,
    batches: BatchSpanProcessor,
}

/// Begins to send spans where the environment says to whom, by OpenTelemetry's own variables.
pub fn start(env: &dyn Fn(&str) -> Option<String>) -> Result<(), Invalid> {
    let set = |name: &'static str| env(name).filter(|value| !value.is_empty()).map(|value| (name, value));
    let disabled = set(DISABLED).is_some_and(|(_, value)| value.eq_ignore_ascii_case("true"));
    let Some((name, endpoint)) = set(TRACES_ENDPOINT).or_else(|| set(ENDPOINT)).filter(|_| !disabled) else {
        return Ok(());
    };
    if !is_address(&endpoint) {
        return Err(wrong(name, NO_ADDRESS));
    }
    let ratio = Ratio::read(env(SAMPLER).as_deref(), env(SAMPLER_ARG).as_deref())
        .map_err(|WrongRatio(name, must)| wrong(name, must))?;
    let (timeout, ca) =
        (set(TRACES_TIMEOUT).or_else(|| set(TIMEOUT)), set(TRACES_CERTIFICATE).or_else(|| set(CERTIFICATE)));
    let terms = Terms {
        timeout: timeout.map_or(Ok(TIMEOUT_DEFAULT), |(name, value)| timeout_of(name, &value))?,
        concurrency: 1,
        answer_bytes_max: ANSWER_BYTES_MAX,
        ca: ca.as_ref().map(|(name, file)| authorities(name, file)).transpose()?,
    };
    let client = Client::to(&endpoint, &terms).map_err(|error| wrong(ca.map_or(name, |(name, _)| name), error))?;
    let collector = Collector { agent: client.agent().clone(), failing: AtomicBool::new(false) };
    let exporter = SpanExporter::builder().with_http().with_http_client(collector).build();
    let exporter = exporter.map_err(|_| wrong(name, NO_ADDRESS))?;
    // Size of the queue and of a batch, and how often one is sent: `OTEL_BSP_...`.
    let mut batches = BatchSpanProcessor::builder(Silent(exporter)).build();
    batches.set_resource(&resource());
    let scope = InstrumentationScope::builder("bellwire").with_version(env!("CARGO_PKG_VERSION")).build();
    if TRACER.set(Tracer { ratio, scope, batches }).is_ok() {
        info!(by = name, "sending traces");
    }
    Ok(())
}

/// Sends what waits, and ends. At most `within`: a collector that is away must not hold up the end.
pub fn stop(within: Duration) {
    if let Some(tracer) = TRACER.get()
        && let Err(error) = tracer.batches.shutdown_with_timeout(within)
    {
        warn!(%error, "the last traces were not sent");
    }
}

pub(super) fn is_on() -> bool {
    TRACER.get().is_some()
}

pub(super) fn keeps(ids: TraceIds) -> bool {
    TRACER.get().is_some_and(|tracer| tracer.ratio.keeps(ids))
}

pub(super) fn record(traced: &Traced, span: &Span) {
    if let Some(tracer) = TRACER.get() {
        tracer.batches.on_end(data(traced, span, tracer.scope.clone()));
    }
}

/// No user, host or text: traces are seen by others than notifications are.
fn data(traced: &Traced, span: &Span, scope: InstrumentationScope) -> SpanData {
    let TraceIds { trace, root } = traced.ids;
    let is_root = span.step == Step::Notify;
    let (own, parent) = if is_root { (root, 0) } else { (fastrand::u64(1..), root) };
    let texts = [
        ("bellwire.notification.id", Some(traced.id.as_str().to_owned())),
        ("bellwire.node", span.node.map(|node| node.to_string())),
        ("bellwire.protocol", span.protocol.map(str::to_owned)),
        ("bellwire.proof", span.proof.map(str::to_owned)),
    ];
    let mut attributes: Vec<_> =
        texts.into_iter().filter_map(|(name, value)| value.map(|value| KeyValue::new(name, value))).collect();
    attributes.push(KeyValue::new("bellwire.shard", i64::from(span.shard.0)));
    let (trace, own) = (TraceId::from(trace), SpanId::from(own));
    SpanData {
        span_context: SpanContext::new(trace, own, TraceFlags::SAMPLED, false, TraceState::NONE),
        parent_span_id: SpanId::from(parent),
        parent_span_is_remote: matches!(span.step, Step::Read | Step::Write | Step::Confirm),
        span_kind: kind(span.step),
        name: name(span.step).into(),
        start_time: span.began,
        // Another machine's clock may be ahead.
        end_time: span.ended.max(span.began),
        attributes,
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: if span.failed { Status::error("the log did not take it") } else { Status::Unset },
        instrumentation_scope: scope,
    }
}

fn name(step: Step) -> &'static str {
    match step {
        Step::Notify => "notify",
        Step::Accept => "accept",
        Step::Append => "append",
        Step::Read => "read",
        Step::Write => "write",
        Step::Confirm => "confirm",
    }
}

fn kind(step: Step) -> SpanKind {
    match step {
        Step::Notify => SpanKind::Client,
        Step::Accept => SpanKind::Server,
        Step::Append => SpanKind::Producer,
        Step::Read => SpanKind::Consumer,
        Step::Write | Step::Confirm => SpanKind::Internal,
    }
}

/// What the environment says of this process, and its name where it says none.
fn resource() -> Resource {
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let named = Resource::builder().with_attribute(version).build();
    let name = named.get(&Key::from_static_str("service.name")).map(|name| name.to_string()).unwrap_or_default();
    if !name.starts_with("unknown_service") {
        return named;
    }
    let attributes = named.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    Resource::builder_empty().with_attributes(attributes).with_service_name("bellwire").build()
}

/// The exporter would take its own default for one that is none.
fn is_address(text: &str) -> bool {
    let scheme = |uri: &Uri| matches!(uri.scheme_str(), Some("http" | "https"));
    text.parse::<Uri>().is_ok_and(|uri| scheme(&uri) && uri.host().is_some())
}

fn authorities(name: &str, file: &str) -> Result<String, Invalid> {
    let pem = read_bounded(Path::new(file), FILE_BYTES_MAX).map_err(|error| wrong(name, format!("{file}: {error}")))?;
    String::from_utf8(pem).map_err(|_| wrong(name, format!("{file} is no PEM file")))
}

fn timeout_of(name: &str, value: &str) -> Result<Duration, Invalid> {
    let millis = value.parse().ok().filter(|millis| (1..=600_000).contains(millis));
    millis.map(Duration::from_millis).ok_or_else(|| wrong(name, "must be milliseconds from 1 to 600000"))
}

fn wrong(name: &str, message: impl fmt::Display) -> Invalid {
    let (setting, source_name) = (name.to_owned(), "the environment".to_owned());
    Invalid(vec![Problem { setting, source_name, message: message.to_string() }])
}

/// The way to the collector. Says once that it is away, and once that it is back: it is asked all the time.
#[derive(Debug)]
struct Collector {
    agent: Agent,
    failing: AtomicBool,
}

#[async_trait]
impl HttpClient for Collector {
    /// Blocks: the thread that sends batches does nothing else.
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.send(request);
        let failure = match &answer {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("it answers {}", answer.status())),
            Err(error) => Some(error.to_string()),
        };
        match (self.failing.swap(failure.is_some(), Ordering::Relaxed), failure) {
            (false, Some(error)) => warn!(error, "the collector does not take traces; they are dropped until it does"),
            (true, None) => info!("the collector takes traces again"),
            _ => {}
        }
        answer.map_err(Into::into)
    }
}

impl Collector {
    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, ureq::Error> {
        let (head, body) = request.into_parts();
        let (head, mut body) = self.agent.run(Request::from_parts(head, &body[..]))?.into_parts();
        let body = body.with_config().limit(ANSWER_BYTES_MAX).read_to_vec()?;
        Ok(Response::from_parts(head, body.into()))
    }
}

/// Whatever failed has been said by [`Collector`], once; the thread that sends batches would say it for each.
#[derive(Debug)]
struct Silent(SpanExporter);

impl Export for Silent {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let _ = self.0.export(batch).await;
        Ok(())
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }
}
