internal import CLuaShim

/// The name that a mistyped one most likely means, or nil when none is near.
///
/// - Parameters:
///   - name: what was written.
///   - names: what exists. Of names equally near, the one that sorts first is taken.
public func nearestName(to name: String, in names: some Sequence<String>) -> String? {
    let length = name.utf8.count
    let limit: Int32 = length <= 3 ? 1 : length <= 8 ? 2 : 3
    return names.map { candidate in
        (clua_name_distance(name, length, candidate, candidate.utf8.count, limit), candidate)
    }
    .filter { $0.0 <= limit }
    .min { $0 < $1 }?.1
}
