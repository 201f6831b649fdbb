//! `numeric`: digits to the base 10,000 on the wire, decimal text here (`numeric_send` and
//! `numeric_recv` in the server).

const NAN: u16 = 0xc000;
const INFINITY: u16 = 0xd000;
const MINUS_INFINITY: u16 = 0xf000;
const NEGATIVE: u16 = 0x4000;
/// Decimal digits of one digit on the wire.
const GROUP: usize = 4;
/// Most digits behind the point that the server knows.
const SCALE_MAX: usize = 16_383;

/// Writes a number's text into `text`; `None` for bytes that are none.
pub(super) fn decode(bytes: &[u8], text: &mut String) -> Option<()> {
    let (head, mut rest) = bytes.split_first_chunk::<8>()?;
    let [c0, c1, w0, w1, s0, s1, d0, d1] = *head;
    let count = usize::from(u16::from_be_bytes([c0, c1]));
    let weight = i32::from(i16::from_be_bytes([w0, w1]));
    let sign = u16::from_be_bytes([s0, s1]);
    let scale = usize::from(u16::from_be_bytes([d0, d1]));
    if rest.len() != count * 2 || scale > SCALE_MAX {
        return None;
    }
    let word = match sign {
        NAN => Some("NaN"),
        INFINITY => Some("Infinity"),
        MINUS_INFINITY => Some("-Infinity"),
        NEGATIVE => {
            text.push('-');
            None
        }
        0 => None,
        _ => return None,
    };
    if let Some(word) = word {
        text.push_str(word);
        return Some(());
    }
    let mut next = || -> Option<u16> {
        let Some((digit, tail)) = rest.split_first_chunk::<2>() else { return Some(0) };
        rest = tail;
        Some(u16::from_be_bytes(*digit)).filter(|digit| *digit < 10_000)
    };
    if weight < 0 {
        text.push('0');
    }
    for place in 0..=weight {
        let digit = next()?;
        if place == 0 { push_plain(text, digit) } else { push_group(text, digit, GROUP) }
    }
    if scale == 0 {
        return Some(());
    }
    text.push('.');
    let mut left = scale;
    let mut place = -1;
    while left > 0 {
        let digit = if place > weight { 0 } else { next()? };
        let take = left.min(GROUP);
        push_group(text, digit, take);
        left -= take;
        place -= 1;
    }
    Some(())
}

fn push_plain(text: &mut String, digit: u16) {
    let mut written = false;
    for power in [1000, 100, 10, 1] {
        let one = (digit / power % 10) as u8;
        if one != 0 || written || power == 1 {
            text.push(char::from(b'0' + one));
            written = true;
        }
    }
}

fn push_group(text: &mut String, digit: u16, take: usize) {
    for power in [1000, 100, 10, 1].into_iter().take(take) {
        text.push(char::from(b'0' + (digit / power % 10) as u8));
    }
}

/// Writes a number's binary form; `None` for a text that is no plain number, or beyond what the
/// server knows.
pub(super) fn encode(text: &str, out: &mut Vec<u8>) -> Option<()> {
    let special = match text {
        "NaN" => Some(NAN),
        "Infinity" => Some(INFINITY),
        "-Infinity" => Some(MINUS_INFINITY),
        _ => None,
    };
    if let Some(sign) = special {
        head(out, 0, 0, sign, 0);
        return Some(());
    }
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (NEGATIVE, rest),
        None => (0, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit());
    if !all_digits || (whole.is_empty() && fraction.is_empty()) || fraction.len() > SCALE_MAX {
        return None;
    }
    groups(whole.trim_start_matches('0'), fraction, sign, out)
}

/// Writes the groups of a number: leading and trailing zero groups are left out.
fn groups(whole: &str, fraction: &str, sign: u16, out: &mut Vec<u8>) -> Option<()> {
    let start = out.len();
    head(out, 0, 0, sign, u16::try_from(fraction.len()).ok()?);
    let mut weight = i32::try_from(whole.len().div_ceil(GROUP)).ok()? - 1;
    let lead = whole.len() % GROUP;
    let (first, rest) = whole.as_bytes().split_at_checked(lead)?;
    let tail = fraction.as_bytes().chunks(GROUP);
    let mut count: u16 = 0;
    let mut zeros: u16 = 0;
    let mut push = |group: &[u8], width: usize, weight: &mut i32| {
        let digit = group.iter().fold(0_u16, |sum, b| sum * 10 + u16::from(b - b'0'));
        let digit = digit * 10_u16.pow((width - group.len()) as u32);
        if digit == 0 && count == 0 {
            *weight -= 1;
        } else if digit == 0 {
            zeros += 1;
        } else {
            for _ in 0..zeros {
                out.extend_from_slice(&[0, 0]);
            }
            count += zeros + 1;
            zeros = 0;
            out.extend_from_slice(&digit.to_be_bytes());
        }
    };
    if lead > 0 {
        push(first, lead, &mut weight);
    }
    for group in rest.chunks(GROUP) {
        push(group, GROUP, &mut weight);
    }
    for group in tail {
        push(group, GROUP, &mut weight);
    }
    if count == 0 {
        weight = 0;
    }
    let sign = if count == 0 { 0 } else { sign };
    let weight = i16::try_from(weight).ok()?;
    let [c0, c1] = count.to_be_bytes();
    let [w0, w1] = weight.to_be_bytes();
    let [s0, s1] = sign.to_be_bytes();
    let place = out.get_mut(start..start + 6)?;
    place.copy_from_slice(&[c0, c1, w0, w1, s0, s1]);
    Some(())
}

fn head(out: &mut Vec<u8>, count: u16, weight: i16, sign: u16, scale: u16) {
    out.extend_from_slice(&count.to_be_bytes());
    out.extend_from_slice(&weight.to_be_bytes());
    out.extend_from_slice(&sign.to_be_bytes());
    out.extend_from_slice(&scale.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round(text: &str) -> String {
        let (mut bytes, mut back) = (Vec::new(), String::new());
        encode(text, &mut bytes).unwrap();
        decode(&bytes, &mut back).unwrap();
        back
    }

    #[test]
    fn numbers_come_back_with_their_scale() {
        let huge = "9".repeat(131_072);
        let small = format!("0.{}1", "0".repeat(16_382));
        for text in [
            "0",
            "0.00",
            "1",
            "-1.10",
            "10000",
            "100000000",
            "0.0001",
            "0.00010",
            "-0.00000001",
            "12345.6789",
            "99999999999999999999",
            "1000000000000.000000000001",
            "NaN",
            "Infinity",
            "-Infinity",
            &huge,
            &small,
        ] {
            assert_eq!(round(text), text);
        }
        assert_eq!(round("-0.0"), "0.0");
        assert_eq!(round("007"), "7");
        for text in ["", "-", ".", "1e5", "+1", "1.2.3", " 1", "abc", "--1"] {
            assert!(encode(text, &mut Vec::new()).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_number_comes_back(text in "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,40})?") {
            let zero = text.bytes().all(|b| matches!(b, b'-' | b'0' | b'.'));
            let expected = if zero { text.trim_start_matches('-') } else { &text };
            prop_assert_eq!(round(&text), expected);
        }

        #[test]
        fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = decode(&bytes, &mut String::new());
        }
    }
}
