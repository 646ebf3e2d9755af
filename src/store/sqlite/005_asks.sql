-- Version 5: asks, which are pastes whose content somebody else provides.

ALTER TABLE paste ADD COLUMN answer_proof BLOB; -- of an ask: SHA-256 of the proof that its answer comes with; size is 0 until then
