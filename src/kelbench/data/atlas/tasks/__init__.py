"""Text tasks made of atlas: sentences, questions and word pairs, each with a train, a valid and a test part."""
