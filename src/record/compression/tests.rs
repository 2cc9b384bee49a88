//! Framings as other people's clients write them, and streams that are none.

use super::*;

fn decompress(codec: Codec, input: &[u8]) -> Result<Vec<u8>, RecordFault> {
    let mut scratch = CodecScratch::default();
    let mut stream = Decompressor::new(codec, input, 1 << 20, &mut scratch).unwrap();
    let (mut all, mut part) = (Vec::new(), [0; 1000]);
    loop {
        match stream.read(&mut part)? {
            0 => return Ok(all),
            count => all.extend_from_slice(&part[..count]),
        }
    }
}

fn compress(codec: Codec, bytes: &[u8]) -> Vec<u8> {
    let mut compressor = Compressor::new(codec, None, Vec::new()).unwrap();
    compressor.write(bytes).unwrap();
    compressor.finish().unwrap()
}

fn text() -> Vec<u8> {
    (0..5000u32)
        .flat_map(|i| format!("line {i} ").into_bytes())
        .collect()
}

#[test]
fn snappy_comes_raw_and_in_xerial_frames() {
    let text = text();
    let raw = snap::raw::Encoder::new().compress_vec(&text).unwrap();
    assert_eq!(decompress(Codec::Snappy, &raw).unwrap(), text);
    let framed = compress(Codec::Snappy, &text);
    assert_eq!(framed[..16], *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01");
    // Two blocks: the first length leads to the second.
    assert!(text.len() > 32 * 1024 && text.len() < 64 * 1024);
    let first = u32::from_be_bytes(framed[16..20].try_into().unwrap()) as usize;
    let second = u32::from_be_bytes(framed[20 + first..24 + first].try_into().unwrap()) as usize;
    assert_eq!(framed.len(), 24 + first + second);
    assert_eq!(decompress(Codec::Snappy, &framed).unwrap(), text);
}

#[test]
fn a_snappy_block_that_claims_more_than_it_can_hold_is_not_believed() {
    // A length of 4 GiB - 1, and little behind it.
    let claim = [0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0];
    let error = decompress(Codec::Snappy, &claim).unwrap_err().to_string();
    assert!(error.contains("claims 4294967295 bytes"), "{error}");
    let mut framed = compress(Codec::Snappy, b"");
    framed.extend_from_slice(&i32::MIN.to_be_bytes());
    let error = decompress(Codec::Snappy, &framed).unwrap_err().to_string();
    assert!(error.contains("beyond the bytes"), "{error}");
}

#[test]
fn lz4_frames_have_independent_blocks_as_the_java_client_wants_them() {
    let framed = compress(Codec::Lz4, &text());
    assert_eq!(framed[..4], 0x184d_2204u32.to_le_bytes());
    assert_eq!(framed[4] >> 6, 1, "version");
    assert_eq!(framed[4] >> 5 & 1, 1, "independent blocks");
    assert_eq!(framed[5] >> 4, 4, "blocks of 64 KiB");
}

#[test]
fn lz4_frames_that_the_java_client_cannot_read_are_refused() {
    use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
    let encode = |frame: FrameInfo| {
        let frame = frame.block_size(BlockSize::Max64KB);
        let mut encoder = FrameEncoder::with_frame_info(frame, Vec::new());
        std::io::Write::write_all(&mut encoder, &text().repeat(10)).unwrap();
        encoder.finish().unwrap()
    };
    let refused = |bytes: &[u8]| decompress(Codec::Lz4, bytes).unwrap_err().to_string();
    let linked = encode(FrameInfo::new().block_mode(BlockMode::Linked));
    assert!(refused(&linked).contains("independent blocks"));
    let plain = encode(FrameInfo::new());
    assert!(refused(&plain[..plain.len() - 4]).contains("no end mark"));
    assert!(refused(&plain[..plain.len() - 5]).contains("a block is cut short"));
    assert!(refused(&plain[1..]).contains("not a frame"));
    let size = text().len() as u64 * 10;
    let rich = FrameInfo::new()
        .content_size(Some(size))
        .content_checksum(true)
        .block_checksums(true);
    let rich = encode(rich);
    assert_eq!(decompress(Codec::Lz4, &rich).unwrap(), text().repeat(10));
    assert!(refused(&rich[..rich.len() - 1]).contains("checksum is missing"));
}

#[test]
fn several_gzip_members_and_zstd_frames_are_one_stream() {
    for codec in [Codec::Gzip, Codec::Zstd] {
        let twice = [compress(codec, b"one "), compress(codec, b"two")].concat();
        assert_eq!(decompress(codec, &twice).unwrap(), b"one two");
    }
}

#[test]
fn a_stream_cut_short_or_followed_by_others_is_an_error_or_lacks_bytes() {
    let text = text();
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let whole = compress(codec, &text);
        for end in (0..whole.len()).step_by(97) {
            let cut = decompress(codec, &whole[..end]);
            assert!(
                cut.is_err() || cut.unwrap().len() < text.len(),
                "{codec:?} {end}"
            );
        }
        let followed = [&whole[..], b"more"].concat();
        assert!(decompress(codec, &followed).is_err(), "{codec:?}");
        assert_eq!(decompress(codec, &whole).unwrap(), text);
    }
}

#[test]
fn a_zstd_context_forgets_a_stream_it_did_not_finish() {
    let mut scratch = CodecScratch::default();
    let whole = compress(Codec::Zstd, &text());
    let mut out = [0; 100_000];
    for _ in 0..3 {
        let cut = &whole[..whole.len() / 2];
        let mut stream = Decompressor::new(Codec::Zstd, cut, 1 << 20, &mut scratch).unwrap();
        while stream.read(&mut out[..1000]).is_ok_and(|count| count > 0) {}
        let mut stream = Decompressor::new(Codec::Zstd, &whole, 1 << 20, &mut scratch).unwrap();
        assert!(stream.read(&mut out).unwrap() > 0);
    }
}
