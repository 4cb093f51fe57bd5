/// A hypervisor that can run commands in its guests, through an agent there.
package protocol GuestCommands: Sendable {
    /// Runs a program in a guest and returns all that it said.
    ///
    /// - Throws: `HypervisorError`; of code `unsupported` when no agent answers in the guest.
    func runInGuest(uuid: String, argv: [String], limit: Duration) async throws -> GuestCommandResult
}

package struct GuestCommandResult: Hashable, Sendable {
    package var status: Int32
    /// Standard output, then standard error.
    package var output: String

    package init(status: Int32, output: String) {
        self.status = status
        self.output = output
    }
}
