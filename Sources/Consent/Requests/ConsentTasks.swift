// What consent asks a resident to do, for the home page: requests that wait for an answer, agreements that end soon, and what guardians agreed to until the
// resident was old enough to be asked.
import Foundation
import Web

/// Finds the agreements of a resident that end within `ConsentRules.reminderPeriod` and can be renewed, and those that ended with a birthday.
struct EndingConsents: Sendable {
    let consents: Consents

    /// What has ended first, then the one that ends first.
    @Sendable func tasks(of resident: ResidentCaller, _ context: WebContext) async throws -> [HomeTask] {
        let sharings = try await consents.all(of: resident.credential)
        let ended = sharings.filter { $0.endedWithBirthday && $0.held.isRenewable($0.offer) }.map { sharing in
            HomeTask(
                title: context.text("consent.task.birthday", sharing.names(context)), detail: context.text("consent.task.birthday_detail"),
                path: "/consents/\(sharing.activity.id)")
        }
        let ending = sharings.filter(\.endsSoon).sorted { ($0.held.validUntil ?? .distantFuture) < ($1.held.validUntil ?? .distantFuture) }.map { sharing in
            let end = sharing.held.validUntil.map { context.format.dateTime($0) } ?? ""
            return HomeTask(
                title: context.text("consent.task.ends", sharing.names(context)), detail: context.text("consent.task.ends_detail", ["date": end]),
                path: "/consents/\(sharing.activity.id)")
        }
        return ended + ending
    }
}

extension Sharing {
    fileprivate func names(_ context: WebContext) -> [String: String] {
        ["purpose": activity.title.text(context.language), "name": activity.organisationName.text(context.language)]
    }

    /// Whether its resident is to be asked whether to renew it.
    fileprivate var endsSoon: Bool {
        guard state?.permits == true, held.isRenewable(offer), let end = held.validUntil else { return false }
        return end.timeIntervalSince(askedAt) <= ConsentRules.reminderPeriod
    }
}

/// Finds the requests that wait for a resident's answer, without those that were put off a few days ago.
struct WaitingRequests: Sendable {
    let received: ReceivedRequests

    /// The oldest first.
    @Sendable func tasks(of resident: ResidentCaller, _ context: WebContext) async throws -> [HomeTask] {
        try await received.open(of: resident.credential).filter(\.isDue).map { request in
            HomeTask(
                title: request.title(context), detail: context.text("consent.request.until", ["date": context.format.dateTime(request.expiresAt)]),
                path: request.path)
        }
    }
}
