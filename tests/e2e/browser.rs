//! Pages in real browsers: ours, and openITCOCKPIT's as they are re-enacted.

mod desk;
mod native;
mod networks;
mod notices;
mod oitc;
mod old_tabs;
mod page;
