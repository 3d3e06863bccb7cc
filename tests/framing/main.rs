//! Reading in frames.

mod cases;
mod check;
mod limits;
mod served;
