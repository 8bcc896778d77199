use super::math::{bits, uniform};
use gpu_runner::backend::cpu::{linear, Activations, Inputs, Isa, PackedMatrix, Pool, Rows};
use gpu_runner::quant::WeightType;
use half::{bf16, f16};

/// Random rows of a type, in the file's layout, with scales near 0.01.
pub fn weights(ty: WeightType, rows: usize, cols: usize, seed: u64) -> Vec<u8> {
    let mut out = Vec::new();
    let values = uniform(seed, rows * cols, -1.0, 1.0);
    match ty {
        WeightType::F32 => out.extend(values.iter().flat_map(|v| v.to_le_bytes())),
        WeightType::F16 => out.extend(values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes())),
        WeightType::BF16 => out.extend(values.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes())),
        _ => {
            let bytes = rows * ty.row_bytes(cols);
            out.extend(uniform(seed + 1, bytes, 0.0, 256.0).iter().map(|v| *v as u8));
            let halves: &[usize] = match ty {
                WeightType::Q4_0 | WeightType::Q8_0 => &[0],
                WeightType::Q4_1 | WeightType::Q4K => &[0, 2],
                _ => &[208],
            };
            for (block, bytes) in out.chunks_exact_mut(ty.block_bytes()).enumerate() {
                for &at in halves {
                    let scale = f16::from_f32(values[block] * 0.02);
                    bytes[at..at + 2].copy_from_slice(&scale.to_le_bytes());
                }
            }
        }
    }
    out
}

fn pack(ty: WeightType, rows: usize, cols: usize, bytes: &[u8], pool: &Pool) -> PackedMatrix {
    let part = Rows {
        ty,
        rows,
        bytes,
        order: None,
    };
    PackedMatrix::pack(cols, &[part], pool)
}

fn product(isa: Isa, pool: &Pool, matrix: &PackedMatrix, x: &[f32]) -> Vec<f32> {
    let mut input = Activations::new();
    input.set(isa, pool, x, matrix.cols(), matrix.inputs());
    let mut out = vec![f32::NAN; input.rows() * matrix.rows()];
    linear(isa, pool, matrix, &input, &mut out, false);
    out
}

/// What the design computes, in f64: dequantised weights times dequantised activations.
fn reference(ty: WeightType, rows: usize, cols: usize, bytes: &[u8], x: &[f32]) -> Vec<f64> {
    let pool = Pool::new(1);
    let mut input = Activations::new();
    let inputs = Inputs::of(ty);
    input.set(Isa::Scalar, &pool, x, cols, inputs);
    let mut weights = vec![0f32; cols];
    let mut out = vec![0f64; x.len() / cols * rows];
    for row in 0..rows {
        ty.dequantize_row(&bytes[row * ty.row_bytes(cols)..][..ty.row_bytes(cols)], &mut weights);
        for token in 0..x.len() / cols {
            out[token * rows + row] = (0..cols)
                .map(|c| {
                    let a = if inputs.int8 {
                        let (scale, codes) = input.block(token, c / 32);
                        f64::from(scale) * f64::from(codes[c % 32])
                    } else {
                        f64::from(x[token * cols + c])
                    };
                    f64::from(weights[c]) * a
                })
                .sum();
        }
    }
    out
}

#[test]
fn every_weight_type_agrees_with_the_f64_product_of_its_dequantised_operands() {
    let pool = Pool::new(2);
    let (rows, cols, n) = (37, 768, 11);
    for ty in WeightType::ALL {
        let bytes = weights(ty, rows, cols, 3);
        let x = uniform(4, n * cols, -2.0, 2.0);
        let exact = reference(ty, rows, cols, &bytes, &x);
        let size = (exact.iter().map(|v| v * v).sum::<f64>() / exact.len() as f64).sqrt();
        for isa in Isa::available() {
            let got = product(isa, &pool, &pack(ty, rows, cols, &bytes, &pool), &x);
            for (got, want) in got.iter().zip(&exact) {
                let error = (f64::from(*got) - want).abs() / size;
                assert!(error < 3e-6, "{ty} {}: {got} for {want}, error {error}", isa.name());
            }
        }
    }
}

#[test]
fn a_sharp_matrix_sees_fifteen_bits_of_its_input() {
    let pool = Pool::new(2);
    let (rows, cols, n) = (37, 768, 11);
    for ty in WeightType::ALL {
        let bytes = weights(ty, rows, cols, 3);
        // One value in a block is much larger than the rest: the case that 8 bits serve worst.
        let mut x = uniform(4, n * cols, -0.05, 0.05);
        x.iter_mut().step_by(32).for_each(|v| *v *= 40.0);
        let mut row_weights = vec![0f32; cols];
        let errors = |matrix: &PackedMatrix, row_weights: &mut [f32]| {
            let got = product(Isa::detect(), &pool, matrix, &x);
            let (mut off, mut size) = (0.0, 0.0);
            for row in 0..rows {
                ty.dequantize_row(&bytes[row * ty.row_bytes(cols)..][..ty.row_bytes(cols)], row_weights);
                for token in 0..n {
                    let exact: f64 = (0..cols)
                        .map(|c| f64::from(row_weights[c]) * f64::from(x[token * cols + c]))
                        .sum();
                    off += (f64::from(got[token * rows + row]) - exact).powi(2);
                    size += exact.powi(2);
                }
            }
            (off / size).sqrt()
        };
        let plain = errors(&pack(ty, rows, cols, &bytes, &pool), &mut row_weights);
        let sharp = errors(&pack(ty, rows, cols, &bytes, &pool).sharp(), &mut row_weights);
        assert!(sharp < 1e-4, "{ty}: relative error {sharp}");
        if Inputs::of(ty).int8 {
            assert!(sharp < plain / 50.0, "{ty}: {sharp} against {plain}");
        }
    }
}

#[test]
fn bits_depend_neither_on_the_instruction_set_nor_the_threads_nor_the_batch() {
    let pools = [1, 2, 3].map(Pool::new);
    for (ty, sharp) in WeightType::ALL.into_iter().flat_map(|ty| [(ty, false), (ty, true)]) {
        for (rows, cols) in [(16, 256), (5, 256), (33, 512), (96, 768)] {
            let bytes = weights(ty, rows, cols, 5);
            let plain = pack(ty, rows, cols, &bytes, &pools[0]);
            let matrix = if sharp { plain.sharp() } else { plain };
            let x = uniform(6, 64 * cols, -1.0, 1.0);
            // One token at a time in plain Rust on one thread is the reference of all else.
            let alone: Vec<u32> = x
                .chunks_exact(cols)
                .flat_map(|x| bits(&product(Isa::Scalar, &pools[0], &matrix, x)))
                .collect();
            for n in [1, 2, 3, 4, 5, 7, 8, 9, 17, 64] {
                for pool in &pools {
                    for isa in Isa::available() {
                        if isa == Isa::Scalar && n > 17 {
                            continue;
                        }
                        let got = product(isa, pool, &matrix, &x[..n * cols]);
                        assert_eq!(
                            bits(&got),
                            alone[..n * rows],
                            "{ty} [{rows}, {cols}], {n} tokens, {} threads, {}",
                            pool.threads(),
                            isa.name()
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn a_long_batch_is_cut_into_chunks_without_a_change_of_bits() {
    let pool = Pool::new(2);
    let (rows, cols, n) = (16, 2048, 301);
    let bytes = weights(WeightType::Q4_1, rows, cols, 7);
    let matrix = pack(WeightType::Q4_1, rows, cols, &bytes, &pool);
    let x = uniform(8, n * cols, -1.0, 1.0);
    let isa = Isa::detect();
    let together = product(isa, &pool, &matrix, &x);
    for (x, out) in x.chunks_exact(cols).zip(together.chunks_exact(rows)) {
        assert_eq!(bits(&product(isa, &pool, &matrix, x)), bits(out));
    }
}

#[test]
fn stacked_tensors_of_different_types_equal_their_single_products() {
    let pool = Pool::new(2);
    let cols = 512;
    let parts = [(WeightType::Q4K, 40), (WeightType::F16, 8), (WeightType::Q6K, 24)];
    let bytes: Vec<_> = parts
        .iter()
        .map(|(ty, rows)| weights(*ty, *rows, cols, *rows as u64))
        .collect();
    let stacked: Vec<_> = parts
        .iter()
        .zip(&bytes)
        .map(|(&(ty, rows), bytes)| Rows {
            ty,
            rows,
            bytes,
            order: None,
        })
        .collect();
    let matrix = PackedMatrix::pack(cols, &stacked, &pool);
    let x = uniform(9, 3 * cols, -1.0, 1.0);
    let isa = Isa::detect();
    let together = product(isa, &pool, &matrix, &x);
    let mut first = 0;
    for ((ty, rows), bytes) in parts.iter().zip(&bytes) {
        let single = product(isa, &pool, &pack(*ty, *rows, cols, bytes, &pool), &x);
        for token in 0..3 {
            assert_eq!(together[token * 72 + first..][..*rows], single[token * rows..][..*rows]);
        }
        first += rows;
    }
}

#[test]
fn accumulate_adds_to_the_output_and_a_bias_is_added_once() {
    let pool = Pool::new(2);
    let (rows, cols) = (20, 64);
    let bytes = weights(WeightType::Q8_0, rows, cols, 10);
    let x = uniform(11, 2 * cols, -1.0, 1.0);
    let isa = Isa::detect();
    let plain = product(isa, &pool, &pack(WeightType::Q8_0, rows, cols, &bytes, &pool), &x);
    let bias = uniform(12, rows, -1.0, 1.0);
    let matrix = pack(WeightType::Q8_0, rows, cols, &bytes, &pool).with_bias(bias.clone());
    let mut input = Activations::new();
    input.set(isa, &pool, &x, cols, matrix.inputs());
    let residual = uniform(13, 2 * rows, -1.0, 1.0);
    let mut out = residual.clone();
    linear(isa, &pool, &matrix, &input, &mut out, true);
    for (i, out) in out.iter().enumerate() {
        assert_eq!(*out, residual[i] + (plain[i] + bias[i % rows]));
    }
}

#[test]
fn rows_are_packed_in_the_given_order() {
    let pool = Pool::new(2);
    let (rows, cols) = (18, 32);
    let bytes = weights(WeightType::Q4_0, rows, cols, 14);
    let order: Vec<usize> = (0..rows).map(|i| (i * 5) % rows).collect();
    let part = Rows {
        ty: WeightType::Q4_0,
        rows,
        bytes: &bytes,
        order: Some(&order),
    };
    let x = uniform(15, cols, -1.0, 1.0);
    let got = product(Isa::detect(), &pool, &PackedMatrix::pack(cols, &[part], &pool), &x);
    let plain = product(
        Isa::detect(),
        &pool,
        &pack(WeightType::Q4_0, rows, cols, &bytes, &pool),
        &x,
    );
    for (i, from) in order.iter().enumerate() {
        assert_eq!(got[i], plain[*from]);
    }
}

/// One row of one block times the codes a_j = j - 16 with s = 0.25, on every instruction set.
fn example(ty: WeightType, block: &[u8]) -> Vec<f32> {
    let pool = Pool::new(1);
    let matrix = pack(ty, 1, 32, block, &pool);
    let codes: Vec<i8> = (0..32).map(|j| j - 16).collect();
    let mut input = Activations::new();
    input.set_codes(&codes, &[0.25]);
    Isa::available()
        .into_iter()
        .map(|isa| {
            let mut out = [f32::NAN];
            linear(isa, &pool, &matrix, &input, &mut out, false);
            out[0]
        })
        .collect()
}

fn halves(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect()
}

/// q_j = j mod 16: byte i holds weight i low and weight i + 16 high.
fn ramp() -> impl Iterator<Item = u8> {
    (0..16).map(|i| i | i << 4)
}

#[test]
fn the_worked_examples_of_the_design_come_out_exactly() {
    let q4_1: Vec<u8> = halves(&[0.5, -1.0]).into_iter().chain(ramp()).collect();
    let q4_0: Vec<u8> = halves(&[0.5]).into_iter().chain(ramp()).collect();
    let q8_0: Vec<u8> = halves(&[4.0])
        .into_iter()
        .chain((0..32).map(|j| (8 * j - 124i32) as i8 as u8))
        .collect();
    for (ty, block, want) in [
        (WeightType::Q4_1, q4_1, 74.0),
        (WeightType::Q4_0, q4_0, 86.0),
        // d 4 and s 0.25 leave the integer sum as it is.
        (WeightType::Q8_0, q8_0, 21_824.0),
    ] {
        for got in example(ty, &block) {
            assert_eq!(got, want, "{ty}");
        }
    }
}

#[test]
fn activations_get_the_scale_and_the_codes_of_the_design() {
    let mut x = [0f32; 96];
    (x[0], x[1], x[2], x[3]) = (0.5, -1.27, 0.015, 0.635);
    x[40] = f32::NAN;
    let pool = Pool::new(1);
    for isa in Isa::available() {
        let mut input = Activations::new();
        input.set(isa, &pool, &x, 96, Inputs::of(WeightType::Q8_0));
        let (scale, codes) = input.block(0, 0);
        assert_eq!(scale, 1.27 / 127.0);
        assert_eq!(codes[..4], [50, -127, 2, 64]);
        assert!(codes[4..].iter().all(|c| *c == 0));
        assert!(input.block(0, 1).0.is_nan(), "a NaN must reach the outputs");
        assert_eq!(input.block(0, 2), (0.0, [0; 32]));
    }
}

#[test]
fn a_value_that_is_not_finite_makes_every_output_of_its_row_nan() {
    let pool = Pool::new(1);
    for ty in [WeightType::Q4_1, WeightType::Q8_0, WeightType::Q6K] {
        let bytes = weights(ty, 16, 256, 16);
        let matrix = pack(ty, 16, 256, &bytes, &pool);
        let mut x = uniform(17, 2 * 256, -1.0, 1.0);
        x[100] = f32::INFINITY;
        for isa in Isa::available() {
            let out = product(isa, &pool, &matrix, &x);
            assert!(out[..16].iter().all(|v| v.is_nan()));
            assert!(out[16..].iter().all(|v| v.is_finite()));
        }
    }
}
