//! A stand-in for the endpoint by which openITCOCKPIT says who is logged in: `/angular/push_configuration.json`.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// What the real one is asked for.
pub const PATH: &str = "/angular/push_configuration.json?angular=true&includeUser=true";

/// Larger than any head that a test sends.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// How it answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Mood {
    /// As the real one: the user of the cookies, or 401 with an empty body.
    #[default]
    Fine,
    /// Connections end without an answer.
    Away,
    /// No answer comes until the mood changes.
    Slow,
    /// This status, with this body, to whoever has a cookie; others get what they get from the real one.
    Cookies(u16, String),
    /// This status, with this body; where it redirects, to the login.
    Always(u16, String),
    /// A redirect to this address.
    Moved(String),
}

/// See the module. On a free port of 127.0.0.1, without TLS. Dropping it ends it.
#[derive(Debug)]
pub struct Login {
    /// Where it listens.
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
    mood: watch::Sender<Mood>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct State {
    users: HashMap<String, i64>,
    key: String,
    /// The heads of all requests.
    asked: Vec<String>,
    now: usize,
    most: usize,
}

impl Login {
    /// Starts one at which nobody is logged in.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let state = Arc::new(Mutex::new(State::default()));
        let (mood, moods) = watch::channel(Mood::Fine);
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (state, moods) = (Arc::clone(&shared), moods.clone());
                connections.spawn(async move { serve(stream, &state, moods).await });
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { address, state, mood, task })
    }

    /// What `openitcockpit-url` is set to.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Whoever sends this cookie (`PHPSESSID=abc`), whatever others beside it, is this user.
    pub fn log_in(&self, cookie: &str, user: i64) {
        self.lock().users.insert(cookie.to_owned(), user);
    }

    /// The cookie counts no longer.
    pub fn log_out(&self, cookie: &str) {
        self.lock().users.remove(cookie);
    }

    /// The shared key that it hands out to whoever is logged in.
    pub fn set_key(&self, key: &str) {
        key.clone_into(&mut self.lock().key);
    }

    /// How it answers from now on, also what is waiting.
    pub fn set(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// How many requests have come that had `text` in their head; with an empty one: all.
    #[must_use]
    pub fn asked(&self, text: &str) -> usize {
        self.lock().asked.iter().filter(|head| head.contains(text)).count()
    }

    /// Most requests that were in progress at one time.
    #[must_use]
    pub fn most_at_once(&self) -> usize {
        self.lock().most
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Drop for Login {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(mut stream: TcpStream, state: &Mutex<State>, mut moods: watch::Receiver<Mood>) {
    while let Ok(head) = read_head(&mut stream).await {
        {
            let mut state = lock(state);
            state.asked.push(head.clone());
            state.now += 1;
            state.most = state.most.max(state.now);
        }
        let mood = moods.wait_for(|mood| *mood != Mood::Slow).await.map_or(Mood::Away, |mood| mood.clone());
        let answer = answer(&lock(state), mood, &head);
        lock(state).now -= 1;
        let Some(answer) = answer else { return };
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn read_head(stream: &mut TcpStream) -> Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        anyhow::ensure!(head.len() < HEAD_BYTES_MAX, "a head without an end");
        head.push(stream.read_u8().await?);
    }
    String::from_utf8(head).context("a head that is no text")
}

fn answer(state: &State, mood: Mood, head: &str) -> Option<String> {
    let header = |wanted: &'static str| {
        let lines = head.lines().filter_map(|line| line.split_once(':'));
        lines.filter(move |(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
    };
    let cookies: Vec<_> = header("cookie").flat_map(|value| value.split(';').map(str::trim)).collect();
    let user = cookies.iter().find_map(|cookie| state.users.get(*cookie));
    match (mood, user) {
        (Mood::Away | Mood::Slow, _) => None,
        (Mood::Always(status, body), _) => Some(response(status, &body)),
        (Mood::Moved(location), _) => {
            Some(format!("HTTP/1.1 301 x\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n"))
        }
        (Mood::Cookies(status, body), _) if !cookies.is_empty() => Some(response(status, &body)),
        _ if !head.starts_with(&format!("GET {PATH} HTTP/1.1\r\n")) => Some(response(404, "")),
        (_, None) => Some(response(401, "")),
        (_, Some(user)) => Some(response(
            200,
            &format!(
                r#"{{"websocket":{{"SUDO_SERVER.API_KEY":"{}","PUSH_NOTIFICATIONS.URL":"wss://{}/push_notifications"}},"user":{{"id":{user},"hasPushContact":true}},"_csrfToken":"c"}}"#,
                state.key,
                header("host").next().unwrap_or_default(),
            ),
        )),
    }
}

fn response(status: u16, body: &str) -> String {
    let location = if (300..400).contains(&status) { "location: /a/users/login\r\n" } else { "" };
    format!("HTTP/1.1 {status} x\r\n{location}content-length: {}\r\n\r\n{body}", body.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::request;

    #[tokio::test]
    async fn it_knows_who_is_logged_in() {
        let login = Login::start().await.unwrap();
        login.log_in("PHPSESSID=a", 7);
        let ask = async |cookie: &str| {
            request(login.address, "GET", PATH, &[("cookie", cookie)], b"").await.map(|answer| answer.status).ok()
        };
        assert_eq!(ask("x=y; PHPSESSID=a").await, Some(200));
        assert_eq!(ask("PHPSESSID=ab").await, Some(401));
        login.log_out("PHPSESSID=a");
        assert_eq!(ask("PHPSESSID=a").await, Some(401));
        login.set(Mood::Always(302, String::new()));
        assert_eq!(ask("PHPSESSID=a").await, Some(302));
        login.set(Mood::Away);
        assert_eq!(ask("PHPSESSID=a").await, None);
        assert_eq!((login.asked(""), login.asked("PHPSESSID=ab")), (5, 1));
    }
}
