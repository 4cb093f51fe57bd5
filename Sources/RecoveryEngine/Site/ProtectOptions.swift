package import SiteModel

/// What may be said of one VM when its protection begins; what is nil is the policy's.
package struct ProtectOptions: Sendable, Equatable {
    /// The disks to replicate, or those to leave out; all are replicated when both are nil.
    package var disks: [String]?
    package var exclude: [String]?
    package var firstCopy: Policy.FirstCopy?
    /// Seconds from now at which a scheduled first copy begins, at most seven days.
    package var startAfter: Double?
    package var exportPath: String?
    package var importPath: String?

    package init(
        disks: [String]? = nil, exclude: [String]? = nil, firstCopy: Policy.FirstCopy? = nil,
        startAfter: Double? = nil, exportPath: String? = nil, importPath: String? = nil
    ) {
        self.disks = disks
        self.exclude = exclude
        self.firstCopy = firstCopy
        self.startAfter = startAfter
        self.exportPath = exportPath
        self.importPath = importPath
    }
}

extension FirstCopyRecord {
    /// How a VM's first copy is made: what was asked for, and the policy for the rest.
    ///
    /// - Throws: the violation of what does not fit together.
    init(
        _ options: ProtectOptions, _ policy: Policy, now: Timestamp, localOffset: Int
    ) throws(FieldViolation) {
        let method = options.firstCopy ?? (options.startAfter == nil ? policy.firstCopy : .scheduled)
        self.init(method: method)
        if let seconds = options.startAfter {
            guard method == .scheduled else {
                throw FieldViolation(
                    "start_after", given: Words.seconds(seconds), allowed: "only with first_copy = \"scheduled\"")
            }
            guard (0...Self.longestDelay).contains(seconds) else {
                throw FieldViolation("start_after", given: Words.seconds(seconds), allowed: "0 to 7 days")
            }
            startAt = now.advanced(bySeconds: seconds)
        } else if method == .scheduled {
            guard let time = policy.firstCopyTime else {
                throw FieldViolation(
                    "start_after", given: "", allowed: "0 to 7 days, because the policy names no first_copy_time")
            }
            startAt = time.next(from: now, offset: localOffset)
        }
        guard method == .offline else {
            if let path = options.exportPath ?? options.importPath {
                throw FieldViolation(
                    options.exportPath == nil ? "import_path" : "export_path", given: FieldCheck.shown(path),
                    allowed: "only with first_copy = \"offline\"")
            }
            return
        }
        exportPath = options.exportPath ?? policy.exportPath
        importPath = options.importPath ?? policy.importPath
        for (field, path) in [("export_path", exportPath), ("import_path", importPath)] {
            guard let path else {
                throw FieldViolation(field, given: "", allowed: "an absolute path, because first_copy is \"offline\"")
            }
            if let violation = FieldCheck.path(path, field) { throw violation }
        }
    }
}
