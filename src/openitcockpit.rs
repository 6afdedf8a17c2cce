//! `bellwire openitcockpit`: what has to be changed in openITCOCKPIT, ready to be pasted.

use clap::{Arg, ArgAction, ArgMatches, Command};

const COMMANDS: &str = "commands";
const PROGRAM: &str = "program";
const SQL: &str = "sql";
const OLD: &str = "old";
const OPTIONS: &str = "options";

const PROGRAM_DEFAULT: &str = "/usr/bin/bellwire-notify";
/// openITCOCKPIT's own program, up to version 5.3.
const PROGRAM_OLD: &str = "/opt/openitc/frontend/bin/cake send_push_notification";
/// Longest path, and longest option behind `--`, in bytes.
const WORD_BYTES_MAX: usize = 1024;

const EXAMPLES: &str = "\
Behind -- may stand options of bellwire-notify that both commands are to have:
  bellwire openitcockpit commands -- --ingest http://push1:8083,http://push2:8083 --spool /var/spool/bellwire

Into openITCOCKPIT's database, and back:
  bellwire openitcockpit commands --sql | mysql --defaults-file=/opt/openitc/etc/mysql/mysql.cnf
  bellwire openitcockpit commands --sql --old | mysql --defaults-file=/opt/openitc/etc/mysql/mysql.cnf";

/// A command of openITCOCKPIT, which is known there by its UUID.
struct Definition {
    name: &'static str,
    uuid: &'static str,
    /// What follows the program.
    new: &'static str,
    old: &'static str,
}

/// Only macros that the engine cleans, and single quotes: see docs/engines/openitcockpit.md.
const DEFINITIONS: [Definition; 2] = [
    Definition {
        name: "host-notify-by-browser-notification",
        uuid: "cd13d22e-acd4-4a67-997b-6e120e0d3153",
        new: "--type host --notificationtype '$NOTIFICATIONTYPE$' --hostuuid '$HOSTNAME$' --state '$HOSTSTATEID$' \
              --output '$HOSTOUTPUT$' --ackauthor '$HOSTACKAUTHOR$' --ackcomment '$HOSTACKCOMMENT$' \
              --user-id '$_CONTACTOITCUSERID$'",
        old: "--type Host --notificationtype $NOTIFICATIONTYPE$ --hostuuid \"$HOSTNAME$\" --state \"$HOSTSTATEID$\" \
              --output \"$HOSTOUTPUT$\" --ackauthor \"$NOTIFICATIONAUTHOR$\" --ackcomment \"$NOTIFICATIONCOMMENT$\" \
              --user-id $_CONTACTOITCUSERID$",
    },
    Definition {
        name: "service-notify-by-browser-notification",
        uuid: "c23255b7-5b1a-40b4-b614-17837dc376af",
        new: "--type service --notificationtype '$NOTIFICATIONTYPE$' --hostuuid '$HOSTNAME$' \
              --serviceuuid '$SERVICEDESC$' --state '$SERVICESTATEID$' --output '$SERVICEOUTPUT$' \
              --ackauthor '$SERVICEACKAUTHOR$' --ackcomment '$SERVICEACKCOMMENT$' --user-id '$_CONTACTOITCUSERID$'",
        old: "--type Service --notificationtype $NOTIFICATIONTYPE$ --hostuuid \"$HOSTNAME$\" \
              --serviceuuid \"$SERVICEDESC$\" --state \"$SERVICESTATEID$\" --output \"$SERVICEOUTPUT$\" \
              --ackauthor \"$NOTIFICATIONAUTHOR$\" --ackcomment \"$NOTIFICATIONCOMMENT$\" \
              --user-id $_CONTACTOITCUSERID$",
    },
];

/// The command, for the help and the parser.
pub(crate) fn command(name: &'static str) -> Command {
    let switch =
        |name: &'static str, help: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    let commands = Command::new(COMMANDS)
        .about("Prints the two command lines that notify browsers, and what to do with them")
        .after_help(EXAMPLES)
        .arg(
            Arg::new(PROGRAM)
                .long(PROGRAM)
                .value_name("PATH")
                .default_value(PROGRAM_DEFAULT)
                .value_parser(path)
                .help("Where bellwire-notify is on the monitoring server"),
        )
        .arg(switch(SQL, "Print statements for openITCOCKPIT's database"))
        .arg(switch(OLD, "Print what openITCOCKPIT 5.3 came with, to go back"))
        .arg(Arg::new(OPTIONS).value_name("OPTION").last(true).num_args(0..).value_parser(word))
        .mut_arg(OLD, |arg| arg.conflicts_with_all([PROGRAM, OPTIONS]));
    Command::new(name)
        .about("Prints what has to be changed in openITCOCKPIT")
        .disable_help_subcommand(true)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(commands)
}

/// What is to be printed.
pub(crate) fn text(flags: &ArgMatches) -> String {
    let Some((_, flags)) = flags.subcommand() else { return String::new() };
    let program = flags.get_one::<String>(PROGRAM).map_or(PROGRAM_DEFAULT, String::as_str);
    let options: Vec<_> = flags.get_many::<String>(OPTIONS).into_iter().flatten().map(String::as_str).collect();
    let old = flags.get_flag(OLD);
    let line = |definition: &Definition| {
        if old {
            return format!("{PROGRAM_OLD} {}", definition.old);
        }
        [&[program, definition.new], &*options].concat().join(" ")
    };
    if flags.get_flag(SQL) { statements(line) } else { page(line, old) }
}

const AFTERWARDS: &str = "\
Then refresh the monitoring configuration in openITCOCKPIT: until then the engine goes on with the lines that it has.
Look again after an update of openITCOCKPIT, which may put its own lines there.";

fn page(line: impl Fn(&Definition) -> String, old: bool) -> String {
    let mut out = String::from(
        "These two commands notify browsers. In openITCOCKPIT, under Commands, replace the command line of each by the one \
         shown,\nand nothing else: openITCOCKPIT knows them by their UUIDs.\n",
    );
    for definition in &DEFINITIONS {
        out.push_str(&format!("\n{} ({})\n\n    {}\n", definition.name, definition.uuid, line(definition)));
    }
    out.push_str(&format!("\n{AFTERWARDS}\n"));
    if old {
        out.push_str(
            "\nThese are the lines of openITCOCKPIT 5.3. Whoever may acknowledge can run programs through them as the \
             engine's user:\nthe engine does not clean author and comment, and a shell reads them.\n",
        );
    } else {
        out.push_str(
            "\nThe way back: bellwire openitcockpit commands --old. As statements for the database: --sql.\n\
             The single quotes count: the engine removes them from what stands between them, so that it needs no shell.\n",
        );
    }
    out
}

fn statements(line: impl Fn(&Definition) -> String) -> String {
    let mut out = String::new();
    for definition in &DEFINITIONS {
        let (name, uuid, line) = (definition.name, definition.uuid, quoted(&line(definition)));
        out.push_str(&format!("-- {name}\nUPDATE commands SET command_line = {line} WHERE uuid = '{uuid}';\n"));
    }
    AFTERWARDS.lines().for_each(|line| out.push_str(&format!("-- {line}\n")));
    out
}

/// As a text of SQL. No line holds a backslash: [`word`] refuses it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn path(text: &str) -> Result<String, String> {
    if text.starts_with('/') { word(text) } else { Err("must be an absolute path".to_owned()) }
}

/// What means itself to the engine, to a shell and to a database.
fn word(text: &str) -> Result<String, String> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"_./:,=@%+-[]".contains(&b);
    if text.is_empty() || text.len() > WORD_BYTES_MAX || !text.bytes().all(is_plain) {
        return Err(format!("must be 1 to {WORD_BYTES_MAX} letters, digits and _ . / : , = @ % + - [ ]"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(line: &str) -> Result<String, clap::Error> {
        let matches = command("openitcockpit").try_get_matches_from(line.split_whitespace())?;
        Ok(text(&matches))
    }

    fn lines(page: &str) -> Vec<&str> {
        page.lines().filter_map(|line| line.strip_prefix("    ")).collect()
    }

    #[test]
    fn lines_are_those_of_the_program_and_the_options() {
        let page = printed("x commands").unwrap();
        assert_eq!(lines(&page).len(), 2);
        for (line, definition) in lines(&page).into_iter().zip(&DEFINITIONS) {
            assert!(line.starts_with("/usr/bin/bellwire-notify --type ") && !line.contains("  "), "{line}");
            assert!(page.contains(definition.uuid) && page.contains(definition.name));
            for macro_of_danger in ["$NOTIFICATIONAUTHOR$", "$NOTIFICATIONCOMMENT$", "\"", "`", "\\"] {
                assert!(!line.contains(macro_of_danger), "{line}");
            }
        }
        let page = printed("x commands --program /opt/b/notify -- --ingest http://[::1]:8083,b --spool /s").unwrap();
        for line in lines(&page) {
            assert!(line.starts_with("/opt/b/notify --type "), "{line}");
            assert!(line.ends_with("'$_CONTACTOITCUSERID$' --ingest http://[::1]:8083,b --spool /s"), "{line}");
        }
    }

    /// Every macro stands in single quotes: outside of them a shell would have to be asked.
    #[test]
    fn macros_stand_in_single_quotes() {
        for definition in &DEFINITIONS {
            let outside: String = definition.new.split('\'').step_by(2).collect();
            assert!(!outside.contains('$'), "{outside}");
            assert_eq!(definition.new.matches('\'').count() % 2, 0);
        }
    }

    #[test]
    fn statements_change_the_line_of_one_row_each() {
        for old in ["", " --old"] {
            let page = printed(&format!("x commands{old}")).unwrap();
            let sql = printed(&format!("x commands --sql{old}")).unwrap();
            let statements: Vec<_> = sql.lines().filter(|line| !line.starts_with("--")).collect();
            assert_eq!(statements.len(), 2);
            for ((statement, line), definition) in statements.into_iter().zip(lines(&page)).zip(&DEFINITIONS) {
                let rest = statement.strip_prefix("UPDATE commands SET command_line = '").unwrap();
                let text = rest.strip_suffix(&format!("' WHERE uuid = '{}';", definition.uuid)).unwrap();
                assert_eq!(text.replace("''", "'"), line);
                assert!(!line.contains('\\'), "{line}");
            }
        }
    }

    #[test]
    fn the_old_lines_are_those_of_openitcockpit() {
        let page = printed("x commands --old").unwrap();
        assert_eq!(
            lines(&page)[0],
            "/opt/openitc/frontend/bin/cake send_push_notification --type Host --notificationtype $NOTIFICATIONTYPE$ \
             --hostuuid \"$HOSTNAME$\" --state \"$HOSTSTATEID$\" --output \"$HOSTOUTPUT$\" \
             --ackauthor \"$NOTIFICATIONAUTHOR$\" --ackcomment \"$NOTIFICATIONCOMMENT$\" --user-id $_CONTACTOITCUSERID$"
        );
        assert!(page.contains("can run programs"), "{page}");
    }

    #[test]
    fn what_a_shell_or_a_database_would_read_is_refused() {
        for bad in ["commands --program bin/x", "commands --program /x;y", "commands -- a'b", "commands -- $USER1$"] {
            let error = printed(&format!("x {bad}")).unwrap_err().to_string();
            assert!(error.contains("must be"), "{bad}: {error}");
        }
        for bad in ["", "commands --old --program /x", "commands --old -- --spool /s", "commands extra", "other"] {
            assert!(printed(&format!("x {bad}")).is_err(), "{bad}");
        }
        assert!(word(&"x".repeat(WORD_BYTES_MAX)).is_ok() && word(&"x".repeat(WORD_BYTES_MAX + 1)).is_err());
    }
}
