"""Naive twins of the compiled kernels: loops that nobody could get wrong, in double precision."""

import math

import numpy as np

from dca.couplings import Couplings

GAP = 20


def sequence_weights(tokens, identity):
    rows, length = tokens.shape
    told = sum(any(tokens[n, i] != GAP for n in range(rows)) for i in range(length))
    weights = np.zeros(rows)
    for n in range(rows):
        similar = 0
        for m in range(rows):
            differ = sum(int(tokens[n, i] != tokens[m, i]) for i in range(length))
            similar += told - differ >= identity * told - 1e-9
        weights[n] = 1 / similar
    return weights


def site_frequencies(tokens, weights, letters=21):
    frequencies = np.zeros((tokens.shape[1], letters))
    for n in range(tokens.shape[0]):
        for i in range(tokens.shape[1]):
            frequencies[i, tokens[n, i]] += weights[n]
    return frequencies / np.sum(weights, dtype=float)


def pair_frequencies(tokens, weights, letters=21):
    length = tokens.shape[1]
    tables = []
    for i in range(length):
        for j in range(i + 1, length):
            table = np.zeros((letters, letters))
            for n in range(tokens.shape[0]):
                table[tokens[n, i], tokens[n, j]] += weights[n]
            tables.append(table / np.sum(weights, dtype=float))
    return np.array(tables)


def mutual_information(tokens, weights, pseudocount):
    length, neff = tokens.shape[1], np.sum(weights, dtype=float)
    share = pseudocount / (neff + pseudocount)
    tables = (1 - share) * pair_frequencies(tokens, weights) + share / 21**2
    full = np.zeros((length, length))
    for p, (i, j) in enumerate(zip(*np.triu_indices(length, 1), strict=True)):
        table = tables[p]
        for a in range(21):
            for b in range(21):
                full[i, j] += table[a, b] * math.log(table[a, b] / (table[a].sum() * table[:, b].sum()))
        full[j, i] = full[i, j]
    return full


def covariance(sites, pairs, kept):
    """Covariance [L kept, L kept] of the indicators of the first `kept` letters."""
    length = sites.shape[0]
    matrix = np.zeros((length * kept, length * kept))
    packed = iter(pairs)
    for i in range(length):
        for a in range(kept):
            for b in range(kept):
                here = sites[i, a] if a == b else 0.0
                matrix[i * kept + a, i * kept + b] = here - sites[i, a] * sites[i, b]
        for j in range(i + 1, length):
            table = next(packed)
            for a in range(kept):
                for b in range(kept):
                    value = table[a, b] - sites[i, a] * sites[j, b]
                    matrix[i * kept + a, j * kept + b] = matrix[j * kept + b, i * kept + a] = value
    return matrix


def negative_blocks(matrix, length, kept):
    """Off-diagonal blocks of a matrix [L kept, L kept], packed and with the sign changed."""
    blocks = []
    for i in range(length):
        for j in range(i + 1, length):
            blocks.append(-matrix[i * kept : (i + 1) * kept, j * kept : (j + 1) * kept])
    return np.array(blocks)


def coupling(couplings, length, i, j, a, b):
    """J_ij(a, b) in any order of i and j from packed couplings."""
    if i > j:
        i, j, a, b = j, i, b, a
    return float(couplings[i * length - i * (i + 1) // 2 + j - i - 1, a, b])


def site_energies(fields, couplings, row, i):
    """h_i(a) + sum_j J_ij(a, x_j) for all letters a."""
    length, letters = fields.shape
    energies = [float(fields[i, a]) for a in range(letters)]
    for j in range(length):
        if j != i:
            for a in range(letters):
                energies[a] += coupling(couplings, length, i, j, a, row[j])
    return energies


def objective(fields, couplings, tokens, weights, coupling_penalty, field_penalty):
    """The regularised negative log pseudolikelihood."""
    total = coupling_penalty * np.sum(np.asarray(couplings, float) ** 2)
    total += field_penalty * np.sum(np.asarray(fields, float) ** 2)
    for row, weight in zip(tokens, weights, strict=True):
        for i in range(tokens.shape[1]):
            energies = site_energies(fields, couplings, row, i)
            total += float(weight) * (math.log(sum(math.exp(e) for e in energies)) - energies[row[i]])
    return total


def gradient(fields, couplings, tokens, weights, coupling_penalty, field_penalty):
    """Its gradient by fields and couplings."""
    length, letters = fields.shape
    by_field = 2 * field_penalty * np.asarray(fields, float)
    by_coupling = 2 * coupling_penalty * np.asarray(couplings, float)
    for row, weight in zip(tokens, weights, strict=True):
        for i in range(length):
            factors = [math.exp(e) for e in site_energies(fields, couplings, row, i)]
            for a in range(letters):
                residual = float(weight) * (factors[a] / sum(factors) - (row[i] == a))
                by_field[i, a] += residual
                for j in range(length):
                    first, second = min(i, j), max(i, j)
                    p = first * length - first * (first + 1) // 2 + second - first - 1
                    if i < j:
                        by_coupling[p, a, row[j]] += residual
                    elif j < i:
                        by_coupling[p, row[j], a] += residual
    return by_field, by_coupling


def uncentred(fields, couplings, frequencies):
    """h_i(a) = h'_i(a) - sum_j sum_b J_ij(a, b) f_j(b)."""
    length, letters = fields.shape
    plain = np.array(fields, float)
    for i in range(length):
        for j in range(length):
            if j != i:
                for a in range(letters):
                    for b in range(letters):
                        plain[i, a] -= coupling(couplings, length, i, j, a, b) * frequencies[j, b]
    return plain


def direct_information(couplings, sites, letters=21):
    """Direct information [P] summed over the first `letters`, by many rescalings of each two-site model."""
    length = sites.shape[0]
    found = []
    for p, (i, j) in enumerate(zip(*np.triu_indices(length, 1), strict=True)):
        joint = np.exp(np.asarray(couplings[p], float))
        for _ in range(200):
            joint *= (sites[i] / joint.sum(axis=1))[:, None]
            joint *= (sites[j] / joint.sum(axis=0))[None, :]
        total = 0.0
        for a in range(letters):
            for b in range(letters):
                total += joint[a, b] * math.log(joint[a, b] / (sites[i, a] * sites[j, b]))
        found.append(total)
    return np.array(found)


class SplitMix64:
    """The generator of the sampling kernels in Python integers."""

    def __init__(self, seed):
        self.state = int(seed)

    def uniform(self):
        mask = 2**64 - 1
        self.state = (self.state + 0x9E3779B97F4A7C15) & mask
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        return ((z ^ (z >> 31)) >> 11) / 2**53


def update_site(row, i, fields, couplings, generator):
    energies = site_energies(fields, couplings, row, i)
    factors = [math.exp(e - max(energies)) for e in energies]
    mark = generator.uniform() * sum(factors)
    letter = 0
    while letter < len(factors) - 1 and sum(factors[: letter + 1]) <= mark:
        letter += 1
    row[i] = letter


def sweep_chains(tokens, fields, couplings, sweeps, seeds):
    for row, seed in zip(tokens, seeds, strict=True):
        generator = SplitMix64(seed)
        for _ in range(sweeps):
            for i in range(tokens.shape[1]):
                update_site(row, i, fields, couplings, generator)


def evolve(tokens, parent, updates, fields, couplings, seeds):
    for node in range(tokens.shape[0]):
        if parent[node] >= 0:
            tokens[node] = tokens[parent[node]]
        generator = SplitMix64(seeds[node])
        for _ in range(updates[node]):
            site = int(generator.uniform() * tokens.shape[1])
            update_site(tokens[node], site, fields, couplings, generator)


def boltzmann(fields, couplings):
    """All states [q^L, L] of a tiny model and their probabilities."""
    length, letters = fields.shape
    states = np.stack(np.meshgrid(*[np.arange(letters)] * length, indexing="ij"), axis=-1).reshape(-1, length)
    energies = np.zeros(len(states))
    for k, row in enumerate(states):
        for i in range(length):
            energies[k] += fields[i, row[i]]
            for j in range(i + 1, length):
                energies[k] += coupling(couplings, length, i, j, row[i], row[j])
    factors = np.exp(energies - energies.max())
    return states, factors / factors.sum()


def regauged(model, seed, size=1.0):
    """The same distribution in a random gauge: J_ij(a, b) + k_ij(a) + l_ij(b), taken from the fields."""
    rng = np.random.default_rng(seed)
    first, second = np.triu_indices(model.length, 1)
    k, m = rng.normal(scale=size, size=(2, first.size, model.fields.shape[1]))
    fields = model.fields.astype(float)
    np.subtract.at(fields, first, k)
    np.subtract.at(fields, second, m)
    couplings = model.couplings + k[:, :, None] + m[:, None, :]
    return Couplings(fields.astype(np.float32), couplings.astype(np.float32))
