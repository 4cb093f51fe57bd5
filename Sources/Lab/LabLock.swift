import Glibc

/// The right to change a lab, held by one command at a time through its root directory.
enum LabLock {
    /// Runs `body` while no other command holds the lab; waits two minutes for one that does.
    ///
    /// - Throws: `notFound` when there is no lab, `busy` when another command keeps it, and what `body` throws.
    static func holding(root: String, _ body: () async throws(LabError) -> Void) async throws(LabError) {
        let file = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard file >= 0 else { throw Self.noLab(at: root) }
        defer { close(file) }
        do throws(LabError) {
            try await wait(for: "The end of another lab command", within: .seconds(120)) {
                flock(file, LOCK_EX | LOCK_NB) == 0
            }
        } catch {
            guard error.code == .timedOut else { throw error }
            throw LabError(
                .busy, "Another command holds the lab at \(root).", hint: "wait for it, or end it", cause: error)
        }
        // Who waited for `down` holds the lock of a directory that is gone.
        var held = stat()
        var named = stat()
        guard fstat(file, &held) == 0, stat(root, &named) == 0, held.st_ino == named.st_ino else {
            throw noLab(at: root)
        }
        try await body()
    }

    static func noLab(at root: String) -> LabError {
        LabError(
            .notFound, "There is no lab at \(root).",
            hint: "perilune lab up --root \(root) makes one; --root, for scripts --lab-root, names another")
    }
}
