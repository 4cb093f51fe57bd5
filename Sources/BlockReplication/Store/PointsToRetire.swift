/// Which points go when somebody says which ones to keep.
package enum PointsToRetire {
    /// The generations to retire of `generations`, oldest first.
    ///
    /// Those of `pinned` stay. So does what is newer than all that is to be kept: who asks did not know of it. Errors:
    /// `.invalidArgument` when nothing is to be kept, `.notFound` when nothing of that is here.
    package static func of(
        _ generations: [String], keeping: [String], pinned: [String]
    ) throws -> Set<String> {
        guard !keeping.isEmpty else {
            throw ReplicationError(
                .invalidArgument, "at least one recovery point is kept", hint: "name the points that stay")
        }
        let kept = Set(keeping)
        guard let newest = generations.lastIndex(where: { kept.contains($0) }) else {
            throw ReplicationError(
                .notFound, "none of the points that shall be kept is at this host",
                hint: "compare the vault's points with the host's before any is retired")
        }
        return Set(generations[..<newest]).subtracting(kept).subtracting(pinned)
    }
}
