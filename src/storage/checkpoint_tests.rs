use super::*;

fn partition(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition::new(topic, partition)
}

#[test]
fn an_offset_checkpoint_is_kafkas() {
    let text = "0\n3\n__consumer_offsets 43 0\nsmall 0 17\nzstdtopic 0 1\n";
    let offsets = parse_offsets(text).unwrap();
    assert_eq!(offsets[&partition("small", 0)], Offset(17));
    assert_eq!(offsets_to_text(&offsets), text);
    assert_eq!(offsets_to_text(&BTreeMap::new()), "0\n0\n");
    assert_eq!(parse_offsets("0\n0\n"), Ok(BTreeMap::new()));
}

#[test]
fn a_file_that_was_made_but_not_written_has_no_entries() {
    assert_eq!(parse_offsets(""), Ok(BTreeMap::new()));
    assert_eq!(parse_offsets("0\n"), Ok(BTreeMap::new()));
}

#[test]
fn a_damaged_checkpoint_names_the_line() {
    let version = InvalidCheckpoint::Version("1".to_owned());
    assert_eq!(parse_offsets("1\n0\n"), Err(version));
    let malformed = |line, text: &str| {
        let text = text.to_owned();
        Err(InvalidCheckpoint::Malformed { line, text })
    };
    assert_eq!(parse_offsets("0\nx\n"), malformed(2, "x"));
    assert_eq!(parse_offsets("0\n2\na 0 1\nb 0\n"), malformed(4, "b 0"));
    assert_eq!(parse_offsets("0\n1\na 0 1 2\n"), malformed(3, "a 0 1 2"));
    let count = InvalidCheckpoint::Count {
        expected: 9_999_999_999,
        found: 1,
    };
    assert_eq!(parse_offsets("0\n9999999999\na 0 1\n"), Err(count));
}
