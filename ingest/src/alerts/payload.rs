//! The payload as it was sent: Alertmanager's webhook format 4, and what Grafana adds to it.
//!
//! A value of a wrong type is as good as none: an alert with a title less is better than no alert.

use std::fmt;

use bellwire_common::notification::Field;
use bellwire_common::notification::draft::{FromObject, Taken, read_object};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::intake::BATCH_ITEMS_MAX;

/// Most labels and most annotations that count, of an alert and of all in common; those behind are as good as left out.
pub const LABELS_MAX: usize = 256;

/// The body of `POST /v1/alertmanager`.
#[derive(Debug, Default)]
pub(crate) struct Payload<'a> {
    pub(super) status: Field<'a>,
    pub(super) group_labels: Labels<'a>,
    pub(super) common_labels: Labels<'a>,
    pub(super) common_annotations: Labels<'a>,
    pub(super) external_url: Field<'a>,
    truncated: Field<'a>,
    pub(super) alerts: List<'a>,
    has_alerts: bool,
    other: Option<&'static str>,
}

/// One alert.
#[derive(Debug, Default)]
pub(super) struct Alert<'a> {
    pub(super) status: Field<'a>,
    pub(super) labels: Labels<'a>,
    pub(super) annotations: Labels<'a>,
    pub(super) starts_at: Field<'a>,
    pub(super) ends_at: Field<'a>,
    pub(super) generator_url: Field<'a>,
    pub(super) fingerprint: Field<'a>,
    /// Grafana's.
    pub(super) dashboard_url: Field<'a>,
    /// Grafana's.
    pub(super) panel_url: Field<'a>,
}

/// The first alerts, and how many there are behind them.
#[derive(Debug, Default)]
pub(super) struct List<'a> {
    pub(super) first: Vec<Alert<'a>>,
    pub(super) more: usize,
}

/// Names and values, in the order in which they were sent.
#[derive(Debug, Default)]
pub(super) struct Labels<'a>(Vec<(String, Field<'a>)>);

/// The text, or none.
pub(super) fn text<'f>(field: &'f Field<'_>) -> &'f str {
    if let Field::Text(text) = field { text } else { "" }
}

impl Payload<'_> {
    /// What makes it no payload.
    pub(crate) fn error(&self) -> Option<String> {
        match (self.other, self.has_alerts) {
            (Some(what), _) => Some(format!("an object is expected, not {what}")),
            (None, false) => Some("alerts must be a list of alerts, is absent".to_owned()),
            (None, true) => None,
        }
    }

    /// Alerts that Alertmanager left out (`max_alerts`).
    pub(super) fn truncated(&self) -> u64 {
        if let Field::Integer(count) = self.truncated { u64::try_from(count).unwrap_or(0) } else { 0 }
    }
}

impl Labels<'_> {
    /// The value of a name; empty if there is none.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| text(value))
    }

    /// All of them, by name.
    pub(super) fn sorted(&self) -> Vec<(&str, &str)> {
        let mut all: Vec<_> = self.0.iter().map(|(name, value)| (name.as_str(), text(value))).collect();
        all.sort_unstable();
        all
    }
}

impl<'de> FromObject<'de> for Payload<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<Taken, A::Error> {
        match key {
            "status" => self.status = map.next_value()?,
            "groupLabels" => self.group_labels = map.next_value()?,
            "commonLabels" => self.common_labels = map.next_value()?,
            "commonAnnotations" => self.common_annotations = map.next_value()?,
            "externalURL" => self.external_url = map.next_value()?,
            "truncatedAlerts" => self.truncated = map.next_value()?,
            "alerts" => {
                self.alerts = map.next_value()?;
                self.has_alerts = true;
            }
            _ => return Ok(Taken::No),
        }
        Ok(Taken::Yes)
    }

    fn other(what: &'static str) -> Self {
        Self { other: Some(what), ..Self::default() }
    }
}

impl<'de> FromObject<'de> for Alert<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<Taken, A::Error> {
        match key {
            "status" => self.status = map.next_value()?,
            "labels" => self.labels = map.next_value()?,
            "annotations" => self.annotations = map.next_value()?,
            "startsAt" => self.starts_at = map.next_value()?,
            "endsAt" => self.ends_at = map.next_value()?,
            "generatorURL" => self.generator_url = map.next_value()?,
            "fingerprint" => self.fingerprint = map.next_value()?,
            "dashboardURL" => self.dashboard_url = map.next_value()?,
            "panelURL" => self.panel_url = map.next_value()?,
            _ => return Ok(Taken::No),
        }
        Ok(Taken::Yes)
    }

    /// Without labels there is nobody whom it is for.
    fn other(_: &'static str) -> Self {
        Self::default()
    }
}

impl<'de> FromObject<'de> for Labels<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<Taken, A::Error> {
        if self.0.len() == LABELS_MAX {
            return Ok(Taken::No);
        }
        self.0.push((key.to_owned(), map.next_value()?));
        Ok(Taken::Yes)
    }

    fn other(_: &'static str) -> Self {
        Self::default()
    }
}

impl<'de> Deserialize<'de> for Payload<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_object(deserializer)
    }
}

impl<'de> Deserialize<'de> for Alert<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_object(deserializer)
    }
}

impl<'de> Deserialize<'de> for Labels<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_object(deserializer)
    }
}

impl<'de> Deserialize<'de> for List<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ListVisitor)
    }
}

struct ListVisitor;

impl<'de> Visitor<'de> for ListVisitor {
    type Value = List<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of alerts")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut alerts: A) -> Result<Self::Value, A::Error> {
        let mut list = List::default();
        while list.first.len() < BATCH_ITEMS_MAX {
            let Some(alert) = alerts.next_element()? else { return Ok(list) };
            list.first.push(alert);
        }
        while alerts.next_element::<IgnoredAny>()?.is_some() {
            list.more += 1;
        }
        Ok(list)
    }
}
