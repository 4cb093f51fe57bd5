/// The step of a run that asks for something: what it starts is found again by it.
///
/// A job's id follows from it, so that a step that is repeated after a crash cannot start a second job: the vault refuses it.
package struct RunStep: Hashable, Sendable {
    /// Id of the run.
    package var run: String
    /// The step within it ("0.2#3"); nil for one of a run that keeps no journal.
    package var step: String?
    /// How often a person has had the step made again.
    package var attempt: Int

    package init(run: String, step: String? = nil, attempt: Int = 0) {
        self.run = run
        self.step = step
        self.attempt = attempt
    }

    /// Id of the job that the step starts, in the form of a UUID; nil for a run that keeps no journal.
    package var jobID: String? {
        guard let step else { return nil }
        var digits = Array(SHA256.hexadecimal(of: "\(run) \(step) \(attempt)".utf8).prefix(32))
        // Version 8 of RFC 9562: made up by an application's own rule.
        digits[12] = "8"
        digits[16] = "a"
        for place in [8, 13, 18, 23] { digits.insert("-", at: place) }
        return String(digits)
    }
}
