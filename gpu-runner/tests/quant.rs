use gpu_runner::quant::WeightType;

/// f16 1.0 is 0x3C00, 0.5 is 0x3800, -2.0 is 0xC000; little-endian.
const ONE: [u8; 2] = [0x00, 0x3C];
const HALF: [u8; 2] = [0x00, 0x38];
const MINUS_TWO: [u8; 2] = [0x00, 0xC0];

fn weights(ty: WeightType, bytes: &[u8]) -> Vec<f32> {
    let mut out = vec![f32::NAN; bytes.len() / ty.block_bytes() * ty.block_len()];
    ty.dequantize_row(bytes, &mut out);
    out
}

#[test]
fn every_type_has_the_published_block_size() {
    let sizes: Vec<_> = WeightType::ALL
        .iter()
        .map(|ty| (ty.name(), ty.ggml_id(), ty.block_len(), ty.block_bytes()))
        .collect();
    let expected = [
        ("F32", 0, 1, 4),
        ("F16", 1, 1, 2),
        ("BF16", 30, 1, 2),
        ("Q4_0", 2, 32, 18),
        ("Q4_1", 3, 32, 20),
        ("Q8_0", 8, 32, 34),
        ("Q4_K", 12, 256, 144),
        ("Q6_K", 14, 256, 210),
    ];
    assert_eq!(sizes, expected);
    for ty in WeightType::ALL {
        assert_eq!(WeightType::from_ggml(ty.ggml_id()), Some(ty));
    }
    assert_eq!(WeightType::from_ggml(13), None);
    assert_eq!(WeightType::Q4_1.row_bytes(576), 360);
}

#[test]
fn q4_0_by_hand_is_d_times_q_minus_8() {
    let mut block = HALF.to_vec();
    block.extend([0x80; 16]); // low nibble 0 -> -8, high nibble 8 -> 0
    block[2] = 0xF7; // weight 0: 7, weight 16: 15
    let found = weights(WeightType::Q4_0, &block);
    assert_eq!(found[0], -0.5);
    assert_eq!(found[16], 3.5);
    assert_eq!(found[1..16], [-4.0; 15]);
    assert_eq!(found[17..], [0.0; 15]);
}

#[test]
fn q4_1_by_hand_is_d_times_q_plus_m() {
    let block = [&HALF[..], &MINUS_TWO, &[0x10; 15], &[0xF2]].concat();
    let found = weights(WeightType::Q4_1, &block);
    assert_eq!(found[..15], [-2.0; 15]);
    assert_eq!(found[15], -1.0);
    assert_eq!(found[16..31], [-1.5; 15]);
    assert_eq!(found[31], 5.5);
}

#[test]
fn q8_0_by_hand_is_d_times_a_signed_byte() {
    let mut block = HALF.to_vec();
    block.extend((0..32).map(|i| (i * 8) as u8));
    let found = weights(WeightType::Q8_0, &block);
    assert_eq!(found[15], 60.0);
    assert_eq!(found[16], -64.0);
    assert_eq!(found[31], -4.0);
}

#[test]
fn q4_k_by_hand_unpacks_its_6_bit_scales() {
    // s = 1, 2, 3, 4, 37, 38, 39, 40; m = 0, 0, 0, 63, 16, 0, 0, 1; q = 1 everywhere, but 15 for weight 255
    let (s, m) = ([1u8, 2, 3, 4, 37, 38, 39, 40], [0u8, 0, 0, 63, 16, 0, 0, 1]);
    let mut packed = [0u8; 12];
    for j in 0..4 {
        packed[j] = s[j] | (s[j + 4] >> 4) << 6;
        packed[j + 4] = m[j] | (m[j + 4] >> 4) << 6;
        packed[j + 8] = (s[j + 4] & 15) | (m[j + 4] & 15) << 4;
    }
    let mut block = [&ONE[..], &HALF, &packed, &[0x11; 128]].concat();
    block[143] = 0xF1;
    let found = weights(WeightType::Q4K, &block);
    for j in 0..8 {
        assert_eq!(found[32 * j], s[j] as f32 - 0.5 * m[j] as f32, "sub-block {j}");
    }
    assert_eq!(found[255], 15.0 * 40.0 - 0.5);
}

#[test]
fn q6_k_by_hand_puts_high_bits_where_the_layout_says() {
    let mut block = vec![0u8; 210];
    for (j, scale) in block[192..208].iter_mut().enumerate() {
        *scale = (j as i8 - 8) as u8;
    }
    block[208..].copy_from_slice(&HALF);
    let zero = weights(WeightType::Q6K, &block);
    for (i, &found) in zero.iter().enumerate() {
        assert_eq!(found, 0.5 * (i as f32 / 16.0 - 8.0).floor() * -32.0, "weight {i}");
    }
    // weight 128 + 96 + 5: q = 0b10_1001; low bits in the high nibble of byte 64 + 32 + 5, high bits at bit 6
    block[101] = 0x90;
    block[128 + 32 + 5] = 0x80;
    assert_eq!(
        weights(WeightType::Q6K, &block)[229],
        0.5 * (14.0 - 8.0) * (41.0 - 32.0)
    );
}

#[test]
fn every_type_agrees_with_an_independent_implementation_bit_for_bit() {
    let rows: serde_json::Value = serde_json::from_str(include_str!("fixtures/quant.json")).unwrap();
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), WeightType::ALL.len());
    for row in rows {
        let ty = WeightType::ALL.into_iter().find(|ty| ty.name() == row["type"]).unwrap();
        let hex = row["bytes"].as_str().unwrap();
        let bytes: Vec<u8> = (0..hex.len())
            .step_by(2)
            .map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap())
            .collect();
        let expected: Vec<f32> = row["weights"]
            .as_array()
            .unwrap()
            .iter()
            .map(|w| w.as_f64().unwrap() as f32)
            .collect();
        assert_eq!(weights(ty, &bytes), expected, "{ty}");
    }
}
