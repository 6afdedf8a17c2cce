//! docs/openitcockpit.md, as somebody follows it who reads nothing else.

use std::path::Path;

use crate::site::{NAME, Site};

/// The fenced blocks of one part of the page, with the address and the service of this site.
pub(crate) struct Guide(Vec<(String, String)>);

impl Guide {
    /// `heading` is the part's, without the marks.
    pub(crate) fn read(heading: &str, service: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openitcockpit.md");
        let page = std::fs::read_to_string(path).unwrap();
        let (_, part) = page.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no part {heading}"));
        let part = part.split("\n## ").next().unwrap();
        let pieces: Vec<_> = part.split("\n```").collect();
        let blocks = pieces.chunks(2).filter_map(|chunk| chunk.get(1)).map(|block| {
            let (language, text) = block.split_once('\n').unwrap();
            let text = text.replace("monitoring.example", NAME).replace("NAME", service);
            (language.to_owned(), text + "\n")
        });
        Self(blocks.collect())
    }

    /// The next block, which is of this language and contains `words`.
    pub(crate) fn next(&mut self, language: &str, words: &str) -> String {
        assert!(!self.0.is_empty(), "no block with {words}");
        let (found, text) = self.0.remove(0);
        assert!(found == language && text.contains(words), "{found}, not {language} with {words}: {text}");
        text
    }

    /// Nothing is left.
    pub(crate) fn end(self) {
        assert!(self.0.is_empty(), "{:?}", self.0);
    }
}

/// Takes the `#` away from a setting that the installed file offers, and puts in what the page says.
pub(crate) fn uncomment(site: &Site, lines: &str) {
    let path = site.house.path("/etc/bellwire/bellwire.toml");
    let mut settings = std::fs::read_to_string(&path).unwrap();
    for line in lines.lines() {
        let (name, _) = line.split_once(" = ").unwrap();
        let offered = settings.lines().find(|offered| offered.starts_with(&format!("#{name} = ")));
        let offered = offered.unwrap_or_else(|| panic!("the file does not offer {name}")).to_owned();
        settings = settings.replace(&offered, line);
    }
    // As an editor does that keeps the file: its owner and its rights stay.
    std::fs::write(path, settings).unwrap();
}
