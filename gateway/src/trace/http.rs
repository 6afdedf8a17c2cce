//! The route `GET /trace`.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::Semaphore;
use tracing::error;

use bellwire_common::admin::TRACE_PATH;
use bellwire_common::http::problem;
use bellwire_common::ids::{NotificationId, UnixMillis, UserId};

use super::Wanted;
use super::answer::{Answer, LISTED_MAX, Story};
use crate::hub::Hub;
use crate::query::{self, Wrong};

/// Questions answered at a time: each takes the journals' locks again and again, for which the folds wait.
const QUESTIONS_MAX: usize = 1;

/// Who answers.
#[derive(Clone)]
struct Desk {
    hub: Arc<Hub>,
    turns: Arc<Semaphore>,
}

/// The route, for the admin server.
pub(crate) fn router(hub: Arc<Hub>) -> Router {
    let desk = Desk { hub, turns: Arc::new(Semaphore::new(QUESTIONS_MAX)) };
    Router::new().route(TRACE_PATH, get(trace)).with_state(desk)
}

async fn trace(State(desk): State<Desk>, RawQuery(query): RawQuery) -> Response {
    let wanted = match wanted(query.as_deref().unwrap_or_default()) {
        Ok(wanted) => wanted,
        Err(wrong) => return problem(StatusCode::BAD_REQUEST, &wrong.to_string()),
    };
    let turn = match desk.turns.acquire_owned().await {
        Ok(turn) => turn,
        Err(error) => return failed(&error),
    };
    // Looking through the journals takes longer than a worker of the runtime should stand still.
    let answer = tokio::task::spawn_blocking(move || {
        let json = serde_json::to_vec(&answer(&desk.hub, &wanted));
        // Not before, also if nobody waits for the answer any more.
        drop(turn);
        json
    });
    match answer.await {
        Ok(Ok(json)) => {
            ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], json).into_response()
        }
        Ok(Err(error)) => failed(&error),
        Err(error) => failed(&error),
    }
}

fn failed(error: &dyn fmt::Display) -> Response {
    error!(%error, "cannot answer what happened to a notification");
    problem(StatusCode::INTERNAL_SERVER_ERROR, "the answer cannot be made; the node's log says why")
}

fn answer(hub: &Hub, wanted: &Wanted) -> Answer {
    let now = UnixMillis::now();
    let shards: Vec<_> = match &wanted.user {
        Some(user) => {
            [Some(hub.shards.own(user)), hub.shards.also(user)].into_iter().flatten().map(|(_, s)| s).collect()
        }
        None => hub.shards.all().iter().collect(),
    };
    let scenes: Vec<_> = shards.iter().map(|shard| shard.look(wanted)).collect();
    let mut notifications: Vec<_> = scenes.iter().flat_map(|scene| scene.stories()).collect();
    notifications.sort_by_key(|story| (story.accepted_at, story.shard, story.offset));
    let over = notifications.len().saturating_sub(LISTED_MAX);
    notifications.drain(..over);
    let silent = scenes.iter().filter(|scene| !scene.sending).map(|scene| scene.log);
    let mut user = scenes.iter().filter_map(|scene| wanted.user.as_ref().map(|user| scene.user(user)));
    let since = scenes.iter().map(|scene| scene.since).max().unwrap_or(now);
    Answer {
        node: hub.node.to_string(),
        at: now.0,
        // Other machines' clocks may be ahead.
        since: since.min(now).0,
        not_sending: concerned(silent, &notifications),
        user: user.next(),
        user_also: user.next(),
        notifications,
        left_out: over + scenes.iter().map(|scene| scene.found.left_out).sum::<usize>(),
    }
}

/// Of these logs those that the notifications are on; without any, one might be on each.
fn concerned<'a>(logs: impl Iterator<Item = &'a str>, notifications: &[Story]) -> Vec<String> {
    let has_one = |log: &str| notifications.iter().any(|story| story.log == log);
    logs.filter(|log| notifications.is_empty() || has_one(log)).map(str::to_owned).collect()
}

fn wanted(query: &str) -> Result<Wanted, Wrong> {
    let mut wanted = Wanted { user: None, id: None };
    query::read(query, |name, value| match name {
        "user" => query::set(&mut wanted.user, "user", value, UserId::try_new),
        "id" => query::set(&mut wanted.id, "id", value, NotificationId::try_new),
        _ => Err(Wrong::Unknown(name.to_owned(), "user and id")),
    })?;
    if wanted.user.is_none() && wanted.id.is_none() {
        return Err(Wrong::Missing("ask for ?user=USER, for ?id=ID of a notification, or for both"));
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use bellwire_common::ids::IdError;

    use super::*;

    #[test]
    fn only_the_shards_that_matter_are_said_to_send_nothing() {
        let answer: Answer = serde_json::from_str(include_str!("tests/answer.json")).unwrap();
        let (one, two, other) = ("log.1", "log.2", "other.2");
        assert_eq!(concerned([one, two, other].into_iter(), &answer.notifications), [two]);
        assert!(concerned([one, other].into_iter(), &answer.notifications).is_empty(), "the other layout's");
        assert_eq!(concerned([two, other].into_iter(), &[]), [two, other]);
    }

    #[test]
    fn queries_are_read_or_refused() {
        let ids = |user: Option<&str>, id: Option<&str>| {
            let (user, id) = (user.map(UserId::try_new), id.map(NotificationId::try_new));
            Ok(Wanted { user: user.transpose().unwrap(), id: id.transpose().unwrap() })
        };
        assert_eq!(wanted("user=7"), ids(Some("7"), None));
        assert_eq!(wanted("id=a%2Fb%26%2B"), ids(None, Some("a/b&+")));
        assert_eq!(wanted("&id=x&user=7&"), ids(Some("7"), Some("x")));
        assert!(matches!(wanted(""), Err(Wrong::Missing(words)) if words.contains("?user=USER")));
        assert_eq!(wanted("user=7&user=8"), Err(Wrong::Twice("user")));
        assert_eq!(wanted("users=7"), Err(Wrong::Unknown("users".into(), "user and id")));
        assert_eq!(wanted("id=%4"), Err(Wrong::Escape("id")));
        assert_eq!(wanted("user="), Err(Wrong::Id("user", IdError::Empty)));
        assert_eq!(wanted("user=a+b"), Err(Wrong::Id("user", IdError::Character)));
        assert_eq!(wanted(&format!("id={}", "x".repeat(65))), Err(Wrong::Id("id", IdError::TooLong)));
        assert_eq!(wanted(&format!("id={}", "x".repeat(510))), Err(Wrong::TooLong));
        let longest = "%21".repeat(64);
        assert!(wanted(&format!("user={longest}&id={longest}")).is_ok());
    }
}
