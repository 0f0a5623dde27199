// Makes, starts and stops a cluster with PostgreSQL's own programs. Callers hold the start lock.
import Foundation

/// The cluster of one place, whether it exists and runs or not.
struct Cluster: Sendable {
    let place: ClusterPlace
    let binaries: PostgresBinaries
    let user: ClusterUser
    let say: Say

    /// Brings the cluster to where it takes connections, from whatever state it was left in.
    /// - Returns: the directory of its socket.
    func start(startSecondsMax: Int, leftoverSecondsMax: Int, stopSecondsMax: Int) async throws -> String {
        if place.majorVersion == nil { try await make() }
        let deadline = ContinuousClock.now.advanced(by: .seconds(startSecondsMax))
        while true {
            switch PostmasterState(ofCluster: place.data) {
            case .ready(let socketDirectory):
                return socketDirectory
            case .absent:
                try await launch(secondsMax: startSecondsMax)
            case .leftBehind:
                say("The database was not shut down cleanly; PostgreSQL recovers it.")
                try await removeLeftovers(secondsMax: leftoverSecondsMax)
                try await launch(secondsMax: startSecondsMax)
            case .starting, .stopping:
                // Another program's doing, or our own predecessor's that was killed meanwhile: it ends in one of the other states.
                guard ContinuousClock.now < deadline else {
                    throw SetupError("The database in \(place.data) has been starting or stopping for \(startSecondsMax) seconds. Its log is in \(place.data)/log.")
                }
                try await Task.sleep(for: .milliseconds(50))
            }
        }
    }

    /// A fast shutdown: open transactions are rolled back, one checkpoint is written, nothing needs recovery.
    func stop(secondsMax: Int) async throws {
        guard case .ready = PostmasterState(ofCluster: place.data) else { return }
        let (status, output) = try await user.run(binaries.pgCtl, ["stop", "-D", place.data, "-m", "fast", "-w", "-t", String(secondsMax)])
        if status == 0 { return }
        switch PostmasterState(ofCluster: place.data) {
        case .absent, .leftBehind:
            return
        case .starting, .ready, .stopping:
            throw SetupError("The database did not stop within \(secondsMax) seconds; it goes on by itself, and the next start joins it. \(output)")
        }
    }

    private func make() async throws {
        say("Making a private PostgreSQL \(binaries.majorVersion) database in \(place.directory) …")
        // Under another name until it is whole, so that an interrupted initdb is never taken for a cluster.
        let unfinished = place.directory + "/data.unfinished"
        try? FileManager.default.removeItem(atPath: unfinished)
        let (status, output) = try await user.run(
            binaries.initdb,
            [
                "--pgdata", unfinished, "--username", "postgres", "--encoding", "UTF8", "--locale", "C.UTF-8", "--data-checksums",
                "--auth-local", "peer", "--auth-host", "reject", "--no-instructions",
            ])
        guard status == 0 else { throw SetupError("initdb failed:\n\(output)") }
        guard rename(unfinished, place.data) == 0 else { throw SetupError("\(place.data) cannot be made: \(lastSystemError()).") }
    }

    private func launch(secondsMax: Int) async throws {
        try user.makePrivateDirectory(place.socket)
        try ClusterSettings(socketDirectory: place.socket, operatorName: userName(of: geteuid())).write(toCluster: place.data, user: user)
        // pg_ctl detaches the server from our terminal and process group: Ctrl-C reaches Stoa alone, which stops the database last.
        let (status, output) = try await user.run(
            binaries.pgCtl, ["start", "-D", place.data, "-l", place.logFile, "-w", "-t", String(secondsMax), "-s"])
        guard status == 0, case .ready = PostmasterState(ofCluster: place.data) else {
            let log = (try? String(contentsOfFile: place.logFile, encoding: .utf8)) ?? ""
            let tail = log.split(separator: "\n").suffix(5).joined(separator: "\n")
            throw SetupError("PostgreSQL does not start in \(place.data).\n\(output)\n\(tail)")
        }
    }

    /// PostgreSQL refuses to start beside children of a killed main process, and beside a process that now has its number.
    private func removeLeftovers(secondsMax: Int) async throws {
        let deadline = ContinuousClock.now.advanced(by: .seconds(secondsMax))
        while true {
            let processes = PostmasterState.processes(ofCluster: place.data)
            if processes.isEmpty { break }
            guard ContinuousClock.now < deadline else {
                throw SetupError(
                    "Processes of the killed database are still at work: \(processes.map(String.init).joined(separator: ", ")). End them and start again.")
            }
            try await Task.sleep(for: .milliseconds(50))
        }
        // The check above did what these files are for; PostgreSQL's own is misled by a zombie or a number that is used again.
        unlink(place.data + "/postmaster.pid")
        unlink("\(place.socket)/.s.PGSQL.\(ClusterPlace.port).lock")
    }
}
