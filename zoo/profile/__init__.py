"""What a mixer costs by length, measured on the reader's own machine: `zoo profile`."""
