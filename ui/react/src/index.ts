export { AgentexecProvider, type CountsResult, useActivity, type UseActivityOptions, useActivityList, useClient, useConnection, useCounts } from './hooks.tsx';
export { useNow } from './clock.ts';
export { ActiveAgentsBadge, type ActiveAgentsBadgeProps, Elapsed, Liveness, type LivenessProps, Message, type MessageProps, ProgressBar, type ProgressBarProps, StatusBadge, type StatusBadgeProps, Time } from './parts.tsx';
export { TaskDetail, type TaskDetailProps } from './task_detail.tsx';
export { TaskList, type TaskListProps } from './task_list.tsx';
export type { ActivityResult, ListResult } from './store.ts';
