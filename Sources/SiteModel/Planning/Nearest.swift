/// Guesses which known name was meant by an unknown one ("unknown VM 'ordres'; nearest is 'orders'").
package enum Nearest {
    /// Longer names are not compared: an edit distance takes time by the product of the lengths.
    private static let longest = 200

    /// The name that `word` most likely means; nil when none is near.
    ///
    /// Near is one slip (a letter missing, added, wrong, or two swapped) for each three letters. Case does not count.
    /// Of two names equally near, the first in alphabetical order is taken, so that the answer is always the same.
    package static func suggestion(for word: String, among names: some Sequence<String>) -> String? {
        guard !word.isEmpty, word.count <= longest else { return nil }
        let given = Array(word.lowercased())
        let limit = max(1, given.count / 3)
        var best: (name: String, distance: Int)?
        for name in names where name.count <= longest {
            let distance = editDistance(given, Array(name.lowercased()))
            guard distance <= limit, distance < name.count else { continue }
            if let held = best, (held.distance, held.name) <= (distance, name) { continue }
            best = (name, distance)
        }
        return best?.name
    }

    /// Counts insertions, deletions, replacements and swaps of neighbours (optimal string alignment).
    static func editDistance(_ a: [Character], _ b: [Character]) -> Int {
        if a.isEmpty || b.isEmpty { return max(a.count, b.count) }
        var older: [Int] = []
        var previous = Array(0...b.count)
        for i in 1...a.count {
            var row = [i]
            for j in 1...b.count {
                let replaced = previous[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)
                var cost = min(replaced, previous[j] + 1, row[j - 1] + 1)
                if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] { cost = min(cost, older[j - 2] + 1) }
                row.append(cost)
            }
            older = previous
            previous = row
        }
        return previous[b.count]
    }
}
