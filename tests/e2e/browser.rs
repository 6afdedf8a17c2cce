//! The page in a real browser.

mod desk;
mod native;
mod notices;
mod page;
