//! What openITCOCKPIT's database adds to a notification, asked before anything is decided: names, and the user.
//!
//! Never more than [`bellwire_common::directory::LOOKUP_MAX`] for a request, and nothing where there is no database. What
//! is not known in time is left out: ids stand in for names, and every user is taken.

use bellwire_common::directory::{Known, Names, User};
use bellwire_common::ids::{CHECK_USER, UserId};
use bellwire_common::notification::{Draft, Field};
use bellwire_common::settings::UserCheck;

use crate::app::Ingest;

/// See the module.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) names: Names,
    pub(crate) user: Known<User>,
    /// What is asked of users.
    pub(crate) check: UserCheck,
}

impl Default for Found {
    fn default() -> Self {
        Self { names: Names::default(), user: Known::Unknown, check: UserCheck::Off }
    }
}

impl Ingest {
    /// What the database says of this draft.
    pub(crate) async fn look_up(&self, draft: &Draft<'_>) -> Found {
        let settings = self.settings();
        let Some(directory) = &settings.directory else { return Found::default() };
        let check = settings.user_check;
        let names = async {
            let unnamed = [&draft.host, &draft.service].map(|object| match &object.id {
                Field::Text(id) if object.name.is_blank() => Some(id.as_ref()),
                _ => None,
            });
            if unnamed == [None, None] { Names::default() } else { directory.names(unnamed[0], unnamed[1]).await }
        };
        let user = async {
            match user(&draft.user) {
                // The whole way is checked with a user that nobody has.
                Some(user) if check != UserCheck::Off && user.as_str() != CHECK_USER => directory.user(&user).await,
                _ => Known::Unknown,
            }
        };
        let (names, user) = futures_util::future::join(names, user).await;
        Found { names, user, check }
    }
}

/// None where the check of the fields will say what is wrong.
fn user(field: &Field<'_>) -> Option<UserId> {
    match field {
        Field::Text(text) => UserId::try_new(text.trim()).ok(),
        Field::Integer(number) => UserId::try_new(&number.to_string()).ok(),
        Field::Absent | Field::Other(_) => None,
    }
}
