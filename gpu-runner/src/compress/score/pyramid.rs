//! PyramidKV's layer budgets: deep layers get less, and the layers together get what a flat budget would give.

/// How layer budgets become whole numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// Budgets sum to layers x mean budget exactly.
    Exact,
    /// As published: an integer step, whose sum comes out too large.
    Published,
}

impl Rounding {
    /// The rounding of this name.
    ///
    /// # Panics
    /// If there is none: parameters are checked before.
    pub fn named(name: &str) -> Rounding {
        match name {
            "exact" => Rounding::Exact,
            "published" => Rounding::Published,
            other => panic!("there is no rounding {other}"),
        }
    }
}

/// A pyramid: the prompt's `window` last entries stay beside every layer's budget.
#[derive(Debug, Clone, Copy)]
pub struct Pyramid {
    /// Layers of the model.
    pub layers: usize,
    /// Mean entries of a layer, the window included: the budget.
    pub budget: usize,
    /// Observation window.
    pub window: usize,
    /// The deepest layer gets 1/beta of the mean.
    pub beta: usize,
    /// How budgets are rounded.
    pub rounding: Rounding,
}

impl Pyramid {
    /// Entries that `layer` keeps of a prompt longer than the budget, its window not counted.
    pub fn layer(&self, layer: usize, prompt: usize) -> usize {
        let mean = self.budget - self.window;
        if prompt < 2 * mean || self.layers == 1 {
            return mean;
        }
        let (min, max) = self.ends(mean, prompt - self.window);
        match self.rounding {
            Rounding::Published => max - layer * ((max - min) / (self.layers - 1)),
            Rounding::Exact => self.up_to(layer + 1, min, max) - self.up_to(layer, min, max),
        }
    }

    /// The budgets of the last and the first layer: their mean is `mean`, and no layer exceeds the `most` there are.
    fn ends(&self, mean: usize, most: usize) -> (usize, usize) {
        let min = mean / self.beta;
        match 2 * mean - min {
            max if max >= most => (2 * mean - most, most),
            max => (min, max),
        }
    }

    /// Entries of the first `layers` layers together.
    fn up_to(&self, layers: usize, min: usize, max: usize) -> usize {
        let den = 2 * (self.layers - 1);
        (den * layers * max - (max - min) * layers * layers.saturating_sub(1)) / den
    }
}
