//! The Helm chart, with the real helm, of both generations.
//!
//! - [`renders`]: many sets of values ([`sets`]) on several versions of Kubernetes: schemas ([`schema`]) and rules ([`rules`])
//! - [`settings`]: the real program takes the settings that are rendered
//! - [`refused`]: values that do not fit are refused, with words that help
//! - [`values`]: each value is documented, in the schema, and of use; the table in the chart's README
//! - [`exposure`], [`capacity`]: what the way in, autoscalers, budgets and limits must have in them
//! - [`releases`]: commands of the documentation, one after the other, and the notes that they print
//! - [`golden`]: what the presets render, to be read in reviews
//! - [`running`]: pods run as rendered, in namespaces of the test, up to the chart's own `helm test`

mod capacity;
mod exposure;
mod golden;
mod helm;
mod objects;
mod refused;
mod releases;
mod renders;
mod rules;
mod running;
mod schema;
mod sets;
mod settings;
mod values;
