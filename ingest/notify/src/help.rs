//! The help: what it does, every option, and examples for the engines.

use crate::options::OPTIONS;

const INTRODUCTION: &str = "\
Hands a monitoring engine's notification to Bellwire, which shows it in the user's open browser tabs.
Silent when all is well.

Usage:
  {program} --type host|service --notificationtype TYPE --hostuuid NAME [--serviceuuid NAME]
      --state NUMBER --output TEXT --user-id USER [OPTION ...]
  {program} --type message --title TEXT [--body TEXT] --user-id USER [OPTION ...]
  {program} flush --spool DIR [OPTION ...]        delivers what an outage left in the spool

Options, with one or two dashes, followed by a space or = and the value:
";

const EXAMPLES: &str = r#"
An option that is not given is read from the environment: --host-name from BELLWIRE_HOST_NAME, and so on.

Exit status:
  0  an ingest has confirmed the notification, or it is safe in the spool; or nothing is to be done
     (no user, or expired)
  1  the notification is not safe anywhere; standard error says why
  2  wrong usage

Examples:
  Try it:
    {program} --type message --title "Hello" --user-id 1
  openITCOCKPIT ("bellwire openitcockpit commands" prints both commands):
    {program} --type service --notificationtype '$NOTIFICATIONTYPE$' --hostuuid '$HOSTNAME$'
      --serviceuuid '$SERVICEDESC$' --state '$SERVICESTATEID$' --output '$SERVICEOUTPUT$'
      --ackauthor '$SERVICEACKAUTHOR$' --ackcomment '$SERVICEACKCOMMENT$'
      --user-id '$_CONTACTOITCUSERID$'
  Naemon and Nagios:
    {program} --type host --notificationtype '$NOTIFICATIONTYPE$' --hostuuid '$HOSTNAME$'
      --state '$HOSTSTATEID$' --output '$HOSTOUTPUT$' --ackauthor '$HOSTACKAUTHOR$'
      --ackcomment '$HOSTACKCOMMENT$' --user-id '$CONTACTNAME$'
      --ingest http://push1:8083,http://push2:8083 --spool /var/spool/bellwire
  Nagios with enable_environment_macros=1, for hosts and services alike:
    {program} --from-env --user-from CONTACTNAME
  Icinga 2 (NotificationCommand; no shell, so nothing needs quotes):
    command = [ {words} ]
    arguments = {
      "--type" = "service"
      "--notificationtype" = "$notification.type$"
      "--hostuuid" = "$host.name$"
      "--serviceuuid" = "$service.name$"
      "--state" = "$service.state_id$"
      "--output" = "$service.output$"
      "--ackauthor" = "$notification.author$"
      "--ackcomment" = "$notification.comment$"
      "--user-id" = "$user.name$"
    }
  Checkmk (a script in local/share/check_mk/notifications):
    #!/bin/sh
    # Bellwire: browser notifications
    exec {program} --from-env

On a command line that a shell sees, $NOTIFICATIONCOMMENT$ and $NOTIFICATIONAUTHOR$ let whoever may acknowledge
run commands: Naemon does not clean them. The macros above are cleaned, and single quotes keep the shell out
(docs/engines/ says more). Or take what is in the environment: --from-env.
"#;

/// The text of `--help`.
pub(crate) fn text(program: &str) -> String {
    let mut text = INTRODUCTION.replace("{program}", program);
    for option in OPTIONS {
        text.push_str(&format!("  {}\n", option.spelling()));
        for line in wrap(option.help) {
            text.push_str(&format!("      {line}\n"));
        }
    }
    let words: Vec<String> = format!("/usr/bin/{program}").split(' ').map(|word| format!("{word:?}")).collect();
    text + &EXAMPLES.replace("{program}", program).replace("{words}", &words.join(", "))
}

fn wrap(text: &str) -> Vec<String> {
    const WIDTH: usize = 94;
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().filter(|line| line.len() + word.len() < WIDTH);
        match line {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) => line.extend([" ", word]),
            None => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_every_option_and_fits_a_terminal() {
        let text = text("bellwire-notify");
        for option in OPTIONS {
            assert!(text.contains(&option.spelling()), "{}", option.name);
        }
        assert!(text.lines().all(|line| line.len() <= 120), "{text}");
        assert!(!text.contains("{program}") && !text.contains("{words}"));
    }

    #[test]
    fn examples_fit_the_name_it_was_called_by() {
        assert!(text("bellwire-notify").contains(r#"command = [ "/usr/bin/bellwire-notify" ]"#));
        let large = text("bellwire notify");
        assert!(large.contains(r#"command = [ "/usr/bin/bellwire", "notify" ]"#));
        assert!(large.contains("bellwire notify flush --spool DIR"));
    }

    /// `docs/notify.md` holds this table; when it fails, put there what it shows.
    #[test]
    fn documentation_has_this_table() {
        let mut table = String::from("| Option | Environment | Meaning |\n| --- | --- | --- |\n");
        for option in OPTIONS {
            let env = option.env.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            table.push_str(&format!("| `{}` | {env} | {} |\n", option.spelling(), option.help.replace('|', "\\|")));
        }
        let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/notify.md");
        let page = std::fs::read_to_string(docs).unwrap();
        assert!(page.contains(&table), "docs/notify.md must hold:\n{table}");
    }
}
