//! The known name that a mistyped one probably means.

/// The nearest of `known`, unless even that is too far to be meant.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let worst = (name.chars().count() / 2).max(2);
    known.into_iter().map(|k| (distance(name, k), k)).min().filter(|&(d, _)| d <= worst).map(|(_, k)| k)
}

/// How many letters must be changed, added or left out.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let changed = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, expected) in [("", "", 0), ("log", "", 3), ("shards", "shard", 1), ("kitten", "sitting", 3)] {
            assert_eq!((distance(a, b), distance(b, a)), (expected, expected), "{a} {b}");
        }
    }

    #[test]
    fn the_nearest_is_named_unless_it_is_far() {
        let known = ["listen", "admin-listen", "shards"];
        assert_eq!(nearest("shard", known), Some("shards"));
        assert_eq!(nearest("admin_listen", known), Some("admin-listen"));
        assert_eq!(nearest("qqqqqqqqqqqqq", known), None);
    }
}
