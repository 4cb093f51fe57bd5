/// Which of a VM's writable disks are replicated (reference 1.6).
package enum DiskChoice {
    /// The disks to replicate and those left out, each in the VM's order, or what is wrong with the choice.
    ///
    /// `only` names the ones to take, `excluding` the ones to leave; without either all are taken.
    package static func choose(
        of disks: [String], only: [String]?, excluding: [String]?
    ) -> Result<(taken: [String], left: [String]), FieldViolation> {
        let there = disks.isEmpty ? "nothing: the VM has no writable disk" : disks.joined(separator: ", ")
        if only != nil, excluding != nil {
            return .failure(FieldViolation("exclude", given: "given beside disks", allowed: "one of the two"))
        }
        for (field, names) in [("disks", only ?? []), ("exclude", excluding ?? [])] {
            if let twice = FieldCheck.distinct(names, field) { return .failure(twice) }
            if let unknown = names.first(where: { !disks.contains($0) }) {
                return .failure(FieldViolation(field, given: FieldCheck.shown(unknown), allowed: there))
            }
        }
        let left = disks.filter { disk in
            if let only { !only.contains(disk) } else { excluding?.contains(disk) ?? false }
        }
        let taken = disks.filter { !left.contains($0) }
        guard !taken.isEmpty else {
            let field = only == nil && excluding != nil ? "exclude" : "disks"
            return .failure(
                FieldViolation(
                    field, given: only == nil ? "all of them" : "empty", allowed: "at least one disk of \(there)"))
        }
        return .success((taken, left))
    }
}
