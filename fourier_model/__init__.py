"""The science: spectra, layers, detector, training, judgement."""
