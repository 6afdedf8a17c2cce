//! The macros that engines put into the environment of a command, one variable each. Pure.
//!
//! What is in the environment no shell reads, so this is the way on which nothing has to be quoted or cleaned.

use std::ffi::OsString;

use crate::options::Flag;

/// Who receives where `--user-from` says nothing: openITCOCKPIT's custom variable, else the contact's name.
const USER_FROM_DEFAULT: &str = "_CONTACTOITCUSERID,CONTACTNAME";
/// Most macros that `--user-from` may name.
const USER_FROM_MAX: usize = 8;
/// Longest name of a macro, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// 2001, in microseconds: below it a number is not the time that Checkmk gives.
const MICROS_MIN: u64 = 1_000_000_000_000_000;

/// Which engine runs the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Checkmk,
    /// Icinga 1; Icinga 2 has arguments instead.
    Icinga,
    Nagios,
}

impl Engine {
    /// The order matters: Checkmk's core may be Nagios, and the one that started the command last says most.
    const ALL: [Self; 3] = [Self::Checkmk, Self::Icinga, Self::Nagios];

    const fn prefix(self) -> &'static str {
        match self {
            Self::Checkmk => "NOTIFY_",
            Self::Icinga => "ICINGA_",
            Self::Nagios => "NAGIOS_",
        }
    }
}

/// The macros of one call.
pub(crate) struct Macros<'a> {
    pub(crate) engine: Engine,
    env: &'a dyn Fn(&str) -> Option<OsString>,
    user_from: Vec<String>,
}

/// `--user-from` is none of macros' names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotNames;

impl<'a> Macros<'a> {
    /// Those of the engine that tells its host's name; none if no engine does.
    pub(crate) fn find(env: &'a dyn Fn(&str) -> Option<OsString>, user_from: &str) -> Result<Option<Self>, NotNames> {
        let user_from = names(if user_from.trim().is_empty() { USER_FROM_DEFAULT } else { user_from })?;
        let tells = |engine: &Engine| !env(&format!("{}HOSTNAME", engine.prefix())).unwrap_or_default().is_empty();
        Ok(Engine::ALL.into_iter().find(tells).map(|engine| Self { engine, env, user_from }))
    }

    /// What stands for an option that is not given. The object's kind stands for `-t`, which every other word wins over.
    pub(crate) fn value(&self, key: Flag) -> Option<OsString> {
        let object = if self.is_service() { "SERVICE" } else { "HOST" };
        match key {
            Flag::T => Some(object.into()),
            Flag::NotificationType => self.notification_type(),
            Flag::HostUuid => self.get("HOSTNAME"),
            Flag::ServiceUuid => self.get("SERVICEDESC"),
            Flag::State => self.get(&format!("{object}STATEID")),
            Flag::Output => self.get(&format!("{object}OUTPUT")),
            Flag::AckAuthor => self.get("NOTIFICATIONAUTHOR"),
            Flag::AckComment => self.get("NOTIFICATIONCOMMENT"),
            Flag::HostName => self.other_name("HOSTDISPLAYNAME", "HOSTNAME"),
            Flag::ServiceName => self.other_name("SERVICEDISPLAYNAME", "SERVICEDESC"),
            // Empty where the contact has none of them: nobody.
            Flag::UserId => Some(self.user_from.iter().find_map(|name| self.get(name)).unwrap_or_default()),
            _ => None,
        }
    }

    /// When Checkmk raised the notification, in microseconds since 1970: the same whenever it tries again.
    pub(crate) fn raised_at(&self) -> Option<u64> {
        if self.engine != Engine::Checkmk {
            return None;
        }
        self.get("MICROTIME")?.to_str()?.parse().ok().filter(|micros| *micros >= MICROS_MIN)
    }

    fn get(&self, name: &str) -> Option<OsString> {
        (self.env)(&format!("{}{name}", self.engine.prefix())).filter(|value| !value.is_empty())
    }

    fn is_service(&self) -> bool {
        match self.engine {
            // It knows, and may tell a service's name with a host's notification.
            Engine::Checkmk => self.get("WHAT").is_some_and(|what| what.eq_ignore_ascii_case("SERVICE")),
            Engine::Icinga | Engine::Nagios => self.get("SERVICEDESC").is_some(),
        }
    }

    fn notification_type(&self) -> Option<OsString> {
        self.get("NOTIFICATIONTYPE").map(|word| if word == "FLAPPINGEND" { "FLAPPINGSTOP".into() } else { word })
    }

    /// A name to show only where it says more than the engine's own: ingest may know a better one.
    fn other_name(&self, shown: &str, own: &str) -> Option<OsString> {
        self.get(shown).filter(|name| Some(name) != self.get(own).as_ref())
    }
}

fn names(list: &str) -> Result<Vec<String>, NotNames> {
    let is_name = |name: &&str| {
        (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    let names: Vec<&str> = list.split(',').map(str::trim).collect();
    if names.len() > USER_FROM_MAX || !names.iter().all(is_name) {
        return Err(NotNames);
    }
    Ok(names.into_iter().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn found(vars: &[(&str, &str)]) -> Option<(Engine, Option<u64>)> {
        let vars: HashMap<_, _> = vars.iter().copied().collect();
        let env = |name: &str| vars.get(name).map(OsString::from);
        Macros::find(&env, "").unwrap().map(|macros| (macros.engine, macros.raised_at()))
    }

    #[test]
    fn the_engine_is_the_one_whose_variables_are_there() {
        assert_eq!(found(&[]), None);
        assert_eq!(found(&[("NAGIOS_HOSTNAME", ""), ("HOSTNAME", "h")]), None);
        assert_eq!(found(&[("NAGIOS_HOSTNAME", "h")]), Some((Engine::Nagios, None)));
        assert_eq!(found(&[("ICINGA_HOSTNAME", "h"), ("NAGIOS_HOSTNAME", "h")]), Some((Engine::Icinga, None)));
        assert_eq!(found(&[("NOTIFY_HOSTNAME", "h"), ("NAGIOS_HOSTNAME", "h")]), Some((Engine::Checkmk, None)));
    }

    #[test]
    fn only_checkmk_says_when_and_only_in_microseconds() {
        let at = |micros| found(&[("NOTIFY_HOSTNAME", "h"), ("NOTIFY_MICROTIME", micros)]).unwrap().1;
        assert_eq!(at("1752739200123456"), Some(1_752_739_200_123_456));
        for other in ["1752739200", "1752739200.123456", "now", "-1752739200123456", "99999999999999999999"] {
            assert_eq!(at(other), None, "{other}");
        }
        assert_eq!(found(&[("NAGIOS_HOSTNAME", "h"), ("NAGIOS_MICROTIME", "1752739200123456")]).unwrap().1, None);
    }

    #[test]
    fn users_come_from_macros_that_have_a_name() {
        let max = ["A"; USER_FROM_MAX].join(",");
        assert_eq!(names(" CONTACTEMAIL , _CONTACTUSER"), Ok(vec!["CONTACTEMAIL".into(), "_CONTACTUSER".into()]));
        assert!(names(&max).is_ok() && names(&"A".repeat(NAME_BYTES_MAX)).is_ok());
        for bad in ["$CONTACTNAME$", "A,,B", "A B", "=", &format!("{max},A"), &"A".repeat(NAME_BYTES_MAX + 1)] {
            assert_eq!(names(bad), Err(NotNames), "{bad}");
        }
    }
}
