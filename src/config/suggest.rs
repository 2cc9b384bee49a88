//! Finds the key somebody meant. Called for unknown keys, so that the warning helps.

/// The nearest of `names` to `wrong`, if it is near: at most a quarter of its letters differ.
pub fn nearest<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // A name longer than any key is not a misspelt one; this also bounds the work.
    if wrong.len() > 100 {
        return None;
    }
    let near = (wrong.len() / 4).max(1);
    names
        .map(|name| (distance(wrong, name), name))
        .filter(|(distance, _)| *distance <= near)
        .min()
        .map(|(_, name)| name)
}

/// How many letters must be put in, left out, replaced or swapped with their neighbour to make one
/// of the other (Damerau and Levenshtein). Capitals and the separators `.`, `_` and `-` count as
/// equal.
fn distance(one: &str, other: &str) -> usize {
    let plain = |text: &str| -> Vec<u8> {
        text.bytes()
            .map(|byte| match byte {
                b'_' | b'-' => b'.',
                other => other.to_ascii_lowercase(),
            })
            .collect()
    };
    let (one, other) = (plain(one), plain(other));
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=other.len()).collect();
    for i in 0..one.len() {
        let mut row = vec![i + 1];
        for j in 0..other.len() {
            let same = one[i] == other[j];
            let mut least = (above[j] + usize::from(!same))
                .min(above[j + 1] + 1)
                .min(row[j] + 1);
            if i > 0 && j > 0 && one[i] == other[j - 1] && one[i - 1] == other[j] {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_letters() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("log.dris", "log.dirs"), 1);
        assert_eq!(distance("LOG_DIRS", "log.dirs"), 0);
    }

    #[test]
    fn a_misspelt_key_finds_its_key_and_nonsense_finds_none() {
        let names = ["log.dirs", "log.dir", "num.partitions"];
        assert_eq!(nearest("log.dris", names.into_iter()), Some("log.dirs"));
        assert_eq!(
            nearest("num.partition", names.into_iter()),
            Some("num.partitions")
        );
        assert_eq!(nearest("completely.else", names.into_iter()), None);
    }
}
