//! Reading and writing in frames.

mod cases;
mod check;
mod limits;
mod served;
mod written;

use crate::support::frames;
use crate::support::pieces::Pieces;
